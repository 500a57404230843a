// Package programtest runs a program as real processes, to be killed, frozen and stopped.
// Only the program's own tests import it: the processes run the test binary, which Main
// makes the program.
//
//	func TestMain(m *testing.M) {
//		programtest.Main(m, func() int { return run(os.Args[1:], os.Stdout, os.Stderr) })
//	}
//
//	f := programtest.NewFleet(t)
//	f.Start("n1", "serve", "-id", "n1")
//	f.Kill("n1")
package programtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// asProgram is the variable of the environment that makes a test binary the program.
const asProgram = "PROGRAMTEST_RUN"

// Main is what TestMain does: it runs the tests, or, in a process of a fleet, the program.
func Main(m *testing.M, program func() int) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program())
	}
	os.Exit(m.Run())
}

// Fleet is a set of processes by name. What they say on standard error is logged if the test
// fails; those that still run are killed at its end.
type Fleet struct {
	t     testing.TB
	log   *os.File
	procs map[string]*exec.Cmd
}

// NewFleet is a fleet without processes. It skips the test under -short.
func NewFleet(t testing.TB) *Fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: does not start processes")
	}
	f := &Fleet{t: t, procs: map[string]*exec.Cmd{}}
	var err error
	if f.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for name := range f.procs {
			f.Kill(name)
		}
		if t.Failed() {
			said := f.Log()
			t.Logf("%s", said[max(0, len(said)-8000):])
		}
		f.log.Close()
	})
	return f
}

// Command is the program with arguments, which is not started.
func (f *Fleet) Command(args ...string) *exec.Cmd {
	f.t.Helper()
	binary, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// Start starts a process. None of that name runs.
func (f *Fleet) Start(name string, args ...string) {
	f.t.Helper()
	cmd := f.Command(args...)
	cmd.Stderr = f.log
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.procs[name] = cmd
}

// Kill is kill -9. It does nothing if no process of that name runs.
func (f *Fleet) Kill(name string) {
	if p := f.procs[name]; p != nil {
		delete(f.procs, name)
		_ = p.Process.Kill()
		_ = p.Wait() // it was killed
	}
}

// Stop asks a process to end, which it does by itself and without an error. Where no signal
// asks, it is killed.
func (f *Fleet) Stop(name string) {
	f.t.Helper()
	p := f.procs[name]
	if !CanFreeze {
		f.Kill(name)
		return
	}
	delete(f.procs, name)
	if err := terminate(p.Process); err != nil {
		f.t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		f.t.Fatalf("%s was asked to end: %v", name, err)
	}
}

// Freeze stops a process as it stands, until Thaw, where CanFreeze.
func (f *Fleet) Freeze(name string) {
	f.t.Helper()
	if err := freeze(f.procs[name].Process); err != nil {
		f.t.Fatal(err)
	}
}

// Thaw lets a frozen process go on.
func (f *Fleet) Thaw(name string) {
	f.t.Helper()
	if err := thaw(f.procs[name].Process); err != nil {
		f.t.Fatal(err)
	}
}

// Log is what all processes have said so far.
func (f *Fleet) Log() string {
	f.t.Helper()
	b, err := os.ReadFile(f.log.Name())
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

// FreeAddrs are addresses of the loopback interface that were free just now. All are held
// until the last one is found, so that they differ.
func FreeAddrs(t testing.TB, n int) (addrs []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}
