package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Defaults of Options.
const (
	DefaultMaxHeader    = 64 << 10
	DefaultMaxBody      = 10 << 20
	DefaultMaxRatio     = 200
	DefaultMaxRedirects = 10
	DefaultMaxIdle      = 256
	DefaultMinRate      = 256
)

// Options say how far a Client goes. The zero value has the defaults that are named here;
// zero in a field means its default, a negative number is an error unless it is said what it means.
type Options struct {
	UserAgent string // sent with every request; "": none is
	Accept    string // likewise; "": what a reader of pages accepts

	MaxHeader    int   // bytes of a response's header, interim responses included: 64 KiB
	MaxBody      int64 // bytes of a body, before and after decompression: 10 MiB
	MaxRatio     int   // bytes after decompression for one before, beyond the first MiB: 200
	MaxRedirects int   // hops that one Fetch follows: 10

	Timeouts Timeouts
	DNS      DNS

	// Permit makes exceptions: addresses in these ranges may be connected to although they
	// are not public.
	Permit []netip.Prefix
	// PermitPorts makes exceptions: these ports may be connected to although they belong to
	// other protocols.
	PermitPorts []uint16

	// Dial makes connections; nil: a net.Dialer. It is given addresses only, and only such as
	// are permitted.
	Dial func(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error)
	// TLS is the configuration for https, of which the server's name and the protocols are
	// set here; nil: certificates are verified, sessions resumed.
	TLS *tls.Config

	MaxIdle        int           // kept connections in all: 256; negative: none
	MaxIdlePerHost int           // of them to one host: 1
	IdleTimeout    time.Duration // how long they are kept: 30 s
}

// Timeouts bound the time of a hop. Zero in a field means its default.
type Timeouts struct {
	Connect   time.Duration // name, TCP and TLS together: 15 s
	FirstByte time.Duration // from the connection to the end of the header: 20 s
	Total     time.Duration // all of it: 60 s
	MinRate   int           // bytes a second that a body has to come with: 256; negative: no least rate
	Grace     time.Duration // before MinRate counts, and the longest pause within a body: 10 s
}

// DNS bounds what is remembered of names. Zero in a field means its default.
type DNS struct {
	Resolver Resolver      // nil: the system's
	MinTTL   time.Duration // however short an answer is said to live: 10 s
	MaxTTL   time.Duration // however long: 1 h
	Default  time.Duration // if it is not said, as by the system's resolver: 5 min
	Negative time.Duration // for names that do not exist; for failures a tenth of it: 1 min
	MaxNames int           // that are remembered: 10,000
}

func (o Options) withDefaults() (Options, error) {
	var bad []error
	number := func(name string, v *int, def int) {
		if *v < 0 {
			bad = append(bad, fmt.Errorf("fetch: %s of %d", name, *v))
		}
		if *v == 0 {
			*v = def
		}
	}
	length := func(name string, v *time.Duration, def time.Duration) {
		if *v < 0 {
			bad = append(bad, fmt.Errorf("fetch: %s of %s", name, *v))
		}
		if *v == 0 {
			*v = def
		}
	}
	number("MaxHeader", &o.MaxHeader, DefaultMaxHeader)
	number("MaxRatio", &o.MaxRatio, DefaultMaxRatio)
	number("MaxRedirects", &o.MaxRedirects, DefaultMaxRedirects)
	number("MaxIdlePerHost", &o.MaxIdlePerHost, 1)
	number("DNS.MaxNames", &o.DNS.MaxNames, 10_000)
	length("IdleTimeout", &o.IdleTimeout, 30*time.Second)
	length("Timeouts.Connect", &o.Timeouts.Connect, 15*time.Second)
	length("Timeouts.FirstByte", &o.Timeouts.FirstByte, 20*time.Second)
	length("Timeouts.Total", &o.Timeouts.Total, time.Minute)
	length("Timeouts.Grace", &o.Timeouts.Grace, 10*time.Second)
	length("DNS.MinTTL", &o.DNS.MinTTL, 10*time.Second)
	length("DNS.MaxTTL", &o.DNS.MaxTTL, time.Hour)
	length("DNS.Default", &o.DNS.Default, 5*time.Minute)
	length("DNS.Negative", &o.DNS.Negative, time.Minute)
	if o.MaxBody < 0 {
		bad = append(bad, fmt.Errorf("fetch: MaxBody of %d", o.MaxBody))
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = DefaultMaxIdle
	}
	if o.Timeouts.MinRate == 0 {
		o.Timeouts.MinRate = DefaultMinRate
	}
	if o.DNS.MinTTL > o.DNS.MaxTTL {
		bad = append(bad, fmt.Errorf("fetch: DNS.MinTTL %s above DNS.MaxTTL %s", o.DNS.MinTTL, o.DNS.MaxTTL))
	}
	if o.DNS.Resolver == nil {
		o.DNS.Resolver = system{}
	}
	if o.Accept == "" {
		o.Accept = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.5"
	}
	for name, v := range map[string]string{"UserAgent": o.UserAgent, "Accept": o.Accept} {
		if !httpguts.ValidHeaderFieldValue(v) {
			bad = append(bad, fmt.Errorf("fetch: %s %q cannot be a header", name, v))
		}
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(max(o.MaxIdle, 1))}
	} else {
		o.TLS = o.TLS.Clone()
	}
	o.TLS.NextProtos = []string{"http/1.1"}
	return o, errors.Join(bad...)
}
