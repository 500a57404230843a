package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
)

// ErrNotInstalled is returned by Start where there is no server to start.
var ErrNotInstalled = errors.New("redis: neither redis-server nor valkey-server is installed")

// Server is a server in a process of its own, on a port of loopback. It keeps nothing.
// It is not safe for concurrent use.
type Server struct {
	Addr string
	bin  string
	dir  string
	cmd  *exec.Cmd
}

// Start starts a server on a free port.
func Start(ctx context.Context) (*Server, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		bin, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		dir, err := os.MkdirTemp("", "ashlar-redis-")
		if err != nil {
			return nil, err
		}
		s := &Server{bin: bin, dir: dir}
		// The server cannot be given a port that is open already, and who closes it first
		// may lose it to somebody else: then another one is tried.
		for range 10 {
			if s.Addr, err = freeAddr(); err != nil {
				break
			}
			if err = s.Restart(ctx); err == nil {
				return s, nil
			}
		}
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return nil, ErrNotInstalled
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Restart starts the server again on its port, empty, and returns when it answers.
func (s *Server) Restart(ctx context.Context) error {
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	cmd := exec.Command(s.bin, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", s.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(strings.ToLower(lines.Text()), "ready to accept connections") {
				ready <- true
			}
		}
		close(ready)
	}()
	select {
	case ok := <-ready:
		if ok {
			s.cmd = cmd
			return nil
		}
		err = fmt.Errorf("redis: %s ended before it was ready", s.bin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return err
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Close kills the server and removes its folder.
func (s *Server) Close() error {
	s.Kill()
	return os.RemoveAll(s.dir)
}
