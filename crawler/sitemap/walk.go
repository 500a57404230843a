package sitemap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Fetch returns the content of a sitemap. Walk closes it.
type Fetch func(ctx context.Context, loc string) (io.ReadCloser, error)

// Walk reads a sitemap and, where it is an index, all files that it names, each once. It
// yields pages, never sitemaps. An error that concerns one file comes wrapped with that
// file's address, and the walk goes on; it ends when the caller breaks off, when ctx is
// done, and with ErrTooMany after MaxFiles files. Indexes deeper than MaxDepth within
// others are not followed (ErrTooMany, once for each). One file is open at a time.
func Walk(ctx context.Context, loc string, fetch Fetch, o Options) iter.Seq2[Entry, error] {
	o = o.withDefaults()
	return func(yield func(Entry, error) bool) {
		type file struct {
			loc   string
			depth int
		}
		queue := []file{{loc: loc}}
		known := map[string]bool{loc: true}
		for n := 0; len(queue) > 0; n++ {
			f := queue[0]
			queue = queue[1:]
			if err := ctx.Err(); err != nil {
				yield(Entry{}, err)
				return
			}
			if n == o.MaxFiles {
				yield(Entry{}, fmt.Errorf("%w: index of more than %d files", ErrTooMany, n))
				return
			}
			for e, err := range read(ctx, f.loc, fetch, o) {
				switch {
				case err != nil:
					if !yield(Entry{}, fmt.Errorf("%s: %w", f.loc, err)) {
						return
					}
				case !e.Sitemap:
					if !yield(e, nil) {
						return
					}
				case known[e.Loc]: // an index that names itself, or a file twice
				case f.depth >= o.MaxDepth:
					known[e.Loc] = true
					if !yield(Entry{}, fmt.Errorf("%s: %w: indexes within indexes", e.Loc, ErrTooMany)) {
						return
					}
				case len(queue) <= o.MaxFiles: // one too many, for the error
					known[e.Loc] = true
					queue = append(queue, file{e.Loc, f.depth + 1})
				}
			}
		}
	}
}

// read is Parse of what fetch gets.
func read(ctx context.Context, loc string, fetch Fetch, o Options) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		body, err := fetch(ctx, loc)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		if body == nil {
			yield(Entry{}, errors.New("no content"))
			return
		}
		defer body.Close()
		Parse(body, o)(yield)
	}
}
