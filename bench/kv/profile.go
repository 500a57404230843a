package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profile takes a CPU profile of the first node while a run lasts, into a file that
// go tool pprof reads: where the time goes. Three nodes under the same load do the same.
func (c *cluster) profile(dir, name string, d time.Duration) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- c.fetchProfile(filepath.Join(dir, name+".pprof"), d) }()
	return func() error { return <-done }
}

func (c *cluster) fetchProfile(file string, d time.Duration) error {
	client := http.Client{Timeout: d + 30*time.Second}
	defer client.CloseIdleConnections()
	res, err := client.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", c.debug, max(int(d.Seconds())-1, 1)))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", res.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, res.Body); err != nil {
		return err
	}
	return f.Close()
}
