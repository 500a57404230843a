package upstream

import (
	"context"
	"io"
	"net/http"
	"time"
)

// watch asks one backend how it is, until ctx is done.
func (p *Pool) watch(ctx context.Context, b *Backend) {
	h := p.rules.Health
	rise, fall := orInt(h.Rise, 2), orInt(h.Fall, 2)
	tick := time.NewTicker(h.Every.Or(time.Second))
	defer tick.Stop()
	good, bad := 0, 0
	for {
		if well := p.ask(ctx, b, h.Path, h.Timeout.Or(time.Second)); well {
			good, bad = good+1, 0
		} else {
			good, bad = 0, bad+1
		}
		if ctx.Err() != nil {
			return
		}
		switch {
		case bad >= fall && !b.down.Swap(true):
			p.note(b, "down: %d health checks in a row have failed", bad)
		case good >= rise && b.down.Swap(false):
			b.readmit()
			p.note(b, "up: %d health checks in a row were good", good)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask makes one health check.
func (p *Pool) ask(ctx context.Context, b *Backend, path string, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url.String()+path, nil)
	if err != nil {
		return false
	}
	res, err := p.transport.RoundTrip(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	return err == nil && res.StatusCode < http.StatusBadRequest
}

func orInt(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}
