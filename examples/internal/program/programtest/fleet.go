// Package programtest runs the program that a test stands beside as real processes, to be
// killed, frozen and stopped. Only tests import it.
package programtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Fleet is a set of processes of one program, by name. What they say on standard error is
// logged if the test fails; those that still run are killed at its end.
type Fleet struct {
	Binary string

	t     testing.TB
	log   *os.File
	procs map[string]*exec.Cmd
}

// NewFleet builds the program in the test's folder. It skips the test under -short and where
// there is no go command.
func NewFleet(t testing.TB) *Fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: does not build and start processes")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build the program with")
	}
	dir := t.TempDir()
	f := &Fleet{Binary: filepath.Join(dir, "program.exe"), t: t, procs: map[string]*exec.Cmd{}}
	if out, err := exec.CommandContext(t.Context(), goTool, "build", "-o", f.Binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if f.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
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

// Start starts a process. None of that name runs.
func (f *Fleet) Start(name string, args ...string) {
	f.t.Helper()
	cmd := exec.Command(f.Binary, args...)
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
