package crawler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/crawler/extract"
	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// Errors of this package. Those of pages are in Page.Err, as are those of package fetch.
var (
	// ErrContact is for a user agent that does not say whom to complain to: it has to contain
	// the address of a page or a mailbox.
	ErrContact = errors.New("crawler: no contact in the user agent")
	// ErrOptions is for other options that make no sense.
	ErrOptions = errors.New("crawler: bad options")
	// ErrURL is for an address that Add cannot take.
	ErrURL = errors.New("crawler: bad address")
	// ErrRunning is for a second Run at the same time.
	ErrRunning = errors.New("crawler: runs already")
	// ErrDisallowed is for a page that robots.txt forbids.
	ErrDisallowed = errors.New("crawler: disallowed by robots.txt")
	// ErrRobots is for a page of a host whose robots.txt cannot be had.
	ErrRobots = errors.New("crawler: no robots.txt to be had")
	// ErrStatus is for a page that the server has not, or does not give.
	ErrStatus = errors.New("crawler: not a page")
	// ErrRedirects is for a page at the end of too long a chain of redirects.
	ErrRedirects = errors.New("crawler: too many redirects")
)

// Handler gets a page. An error makes it be fetched again, by the schedule of the frontier, and at
// last a dead letter. It may keep the page, and must return within the time of a lease
// (frontier.Options.LeaseTime), when its ctx ends.
type Handler func(ctx context.Context, p *Page) error

// Renderer is a browser: it loads a page, runs its scripts, and returns what became of it. Its
// requests have to go through an address policy like that of package fetch.
type Renderer interface {
	Render(ctx context.Context, u *urlx.URL) (html []byte, err error)
}

// Known is what is kept of a page from an earlier visit.
type Known struct {
	ETag, LastModified string
	Hash               [32]byte // Page.Hash
}

// Options configure a crawler. Dir and UserAgent are needed; all else has a default.
type Options struct {
	Dir       string // of the frontier
	UserAgent string // with the address of a page or mailbox of whoever runs this
	Product   string // the name that robots.txt calls it by; "": the user agent up to the first slash or space
	Workers   int    // pages that are fetched at a time: 16

	// Handlers get pages by the media type in their header: "text/html", else "text/*", else "*/*".
	// Where none fits only links are taken, and what is no HTML is not fetched to its end.
	Handlers map[string]Handler

	// Scope reports whether an address belongs to the crawl; nil: all do. Seeds are asked too.
	Scope func(u *urlx.URL) bool
	// Follow reports whether a link of a page is taken; nil: those that can be clicked, and
	// frames, refreshes and feeds. nofollow and links that cannot be seen never are.
	Follow func(p *Page, l extract.Link) bool
	// Priority is that of a link, from 0 to 5; nil: the number of links from a seed.
	Priority func(p *Page, l extract.Link) float64
	MaxDepth int           // links from a seed: 1000
	Profile  *urlx.Profile // of canonical addresses; nil: none but what is the same by the standard

	// Every is the time until a page is to be visited again, before its own rate of change is
	// known; nil or 0: never.
	Every func(p *Page) time.Duration
	// Known returns what is kept of a page that is visited again; nil: nothing is.
	Known func(url string) (k Known, ok bool)

	// Owns reports whether this node visits a host; nil: it does. The answer may change.
	Owns func(host string) bool
	// Foreign takes what belongs to other nodes; nil: it is dropped. An error stops Run.
	Foreign func(ctx context.Context, items []frontier.Item) error

	// Renderer loads pages that Escalate chooses: nil: none. A nil Escalate chooses pages with scripts
	// and next to no words.
	Renderer Renderer
	Escalate func(p *Page) bool

	RobotsAge time.Duration // after which a robots.txt is read again: 12 h, at most 24 h
	MaxRobots int           // of them in memory: 50,000
	Grace     time.Duration // that pages in hand have when Run's ctx ends: 10 s; negative: none

	Fetch    fetch.Options    // UserAgent is set here
	Frontier frontier.Options // Template is set here, if it is nil
	Logger   *slog.Logger     // nil: silent
	Hooks    Hooks
}

// Hooks tell of what happens. They are called outside of locks, by the worker, and hold it up.
// nil: not called.
type Hooks struct {
	Page   func(p *Page)                              // a visit has ended: Page.Err says how
	Robots func(origin string, status int, err error) // robots.txt was asked for; 0: no answer
	Added  func(host string, n int)                   // links were queued that were not known; the host is that of the page
}

func (o Options) withDefaults() (Options, error) {
	var bad []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
		}
	}
	if !hasContact(o.UserAgent) {
		bad = append(bad, fmt.Errorf("%w: %q", ErrContact, o.UserAgent))
	}
	if o.Product == "" {
		o.Product = o.UserAgent[:len(o.UserAgent)-len(strings.TrimLeft(o.UserAgent, productLetters))]
	}
	check(o.Product != "" && strings.Trim(o.Product, productLetters) == "", "product %q", o.Product)
	check(o.Dir != "", "no directory")
	check(o.Workers >= 0, "%d workers", o.Workers)
	check(o.MaxDepth >= 0 && o.MaxDepth <= 1<<16-1, "depth of %d", o.MaxDepth)
	check(o.MaxRobots >= 0, "%d robots.txt", o.MaxRobots)
	check(o.RobotsAge >= 0 && o.RobotsAge <= 24*time.Hour, "robots.txt that is kept for %s", o.RobotsAge)
	for t, h := range o.Handlers {
		check(h != nil && strings.Count(t, "/") == 1 && t == strings.ToLower(t), "handler of %q", t)
	}
	def(&o.Workers, 16)
	def(&o.MaxDepth, 1000)
	def(&o.MaxRobots, 50_000)
	def(&o.RobotsAge, 12*time.Hour)
	def(&o.Grace, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Fetch.UserAgent = o.UserAgent
	if o.Frontier.Template == nil {
		o.Frontier.Template = template
	}
	return o, errors.Join(bad...)
}

const productLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// hasContact reports whether a user agent has an address in it: of a page, or a mailbox.
func hasContact(ua string) bool {
	for _, f := range strings.FieldsFunc(ua, func(r rune) bool { return strings.ContainsRune(" ()<>;,+", r) }) {
		f = strings.TrimPrefix(f, "mailto:")
		if u, err := urlx.Parse(f); err == nil && (u.Scheme() == "https" || u.Scheme() == "http") && strings.Contains(u.Hostname(), ".") {
			return true
		}
		if name, host, ok := strings.Cut(f, "@"); ok && name != "" && strings.Contains(strings.Trim(host, "."), ".") {
			return true
		}
	}
	return false
}
