package fetch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// certificate makes one for a name, that signs itself.
func certificate(t *testing.T, name string, until time.Time, chain int) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: until.Add(-1000 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	out := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for range chain {
		out.Certificate = append(out.Certificate, bytes.Repeat(der, 20))
	}
	return out, cert
}

// TestTLS has servers with all that can be wrong with a certificate; number 20 of the bad
// inputs.
func TestTLS(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	for _, tc := range []struct {
		name      string
		cert      string
		until     time.Time
		unknown   bool
		max       uint16
		chain     int
		plain     bool
		want      error
		temporary bool
	}{
		{name: "good", cert: "good.example", until: soon},
		{name: "expired", cert: "good.example", until: time.Now().Add(-time.Hour), want: ErrCertificate},
		{name: "wrong name", cert: "other.example", until: soon, want: ErrCertificate},
		{name: "of nobody known", cert: "good.example", until: soon, unknown: true, want: ErrCertificate},
		{name: "TLS 1.0", cert: "good.example", until: soon, max: tls.VersionTLS10, want: ErrTLS, temporary: true},
		{name: "huge chain", cert: "good.example", until: soon, chain: 100, want: ErrTLS, temporary: true},
		{name: "no TLS at all", cert: "good.example", until: soon, plain: true, want: ErrTLS, temporary: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cert, root := certificate(t, tc.cert, tc.until, tc.chain)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tc.max, MinVersion: tls.VersionTLS10}
			if tc.plain {
				s.Start()
			} else {
				s.StartTLS()
			}
			defer s.Close()
			roots := x509.NewCertPool()
			if !tc.unknown {
				roots.AddCert(root)
			}
			c := newClient(t, Options{Permit: loopback, DNS: DNS{Resolver: fixed{netip.MustParseAddr("127.0.0.1")}}, TLS: &tls.Config{RootCAs: roots}})
			_, port, _ := strings.Cut(strings.TrimPrefix(s.Listener.Addr().String(), "127"), ":")
			resp, err := c.Fetch(t.Context(), Request{URL: parse(t, "https://good.example:"+port+"/")})
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
				var fe *Error
				require.ErrorAs(t, err, &fe)
				require.Equal(t, PhaseTLS, fe.Phase)
				require.Equal(t, tc.temporary, fe.Temporary())
				return
			}
			require.NoError(t, err)
			require.Equal(t, "good.example:"+port, string(resp.Body))
			require.Positive(t, resp.Trace.TLS)
		})
	}
}
