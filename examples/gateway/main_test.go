package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/redis"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/site"
	"github.com/ashlar-go/ashlar/examples/internal/program"
)

func runMain(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// folder makes n files.
func folder(t *testing.T, n int) string {
	dir := t.TempDir()
	for i := range n {
		path := filepath.Join(dir, string(rune('a'+i%26)), fmt.Sprintf("print %d.txt", i))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{byte(i)}, i*37%5000), 0o600))
	}
	return dir
}

// TestStory plays the whole story on a small folder.
func TestStory(t *testing.T) {
	code, out, errs := runMain("-check", "-data", folder(t, 300))
	require.Zero(t, code, "%s\n%s", out, errs)
	require.Contains(t, out, ", 0 failed\n")
	if s, err := redis.Start(t.Context()); err != nil {
		t.Logf("the chapter on Redis was left out: %v", err)
	} else {
		require.NoError(t, s.Close())
		require.Contains(t, out, "death of Redis")
	}
	t.Log(out)
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good := write("good.json", `{"routes": [{"name": "a", "path": "/", "pool": "p"}], "pools": [{"name": "p", "backends": [{"id": "b", "url": "http://127.0.0.1:1"}]}]}`)
	bad := write("bad.json", `{"routes": []}`)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"help"}, 0, "usage"},
		{[]string{"help", "serve"}, 0, "config"},
		{[]string{"-help"}, 0, "-check"},
		{[]string{"dance"}, program.ExitUsage, "unknown command"},
		{[]string{"-x"}, program.ExitUsage, "see gateway help"},
		{[]string{"-check", "more"}, program.ExitUsage, "unexpected"},
		{[]string{"-check", "-data", "/does/not/exist"}, program.ExitFailed, "no such file"},
		{[]string{"-check", "-data", t.TempDir()}, program.ExitFailed, "no file below"},
		{[]string{"serve"}, program.ExitUsage, "-config"},
		{[]string{"serve", "-y"}, program.ExitUsage, "see gateway help serve"},
		{[]string{"serve", "-config", good, "-log", "loud"}, program.ExitUsage, "unknown name"},
		{[]string{"serve", "-config", good}, program.ExitFailed, "unknown field"},
		{[]string{"serve", "-config", write("empty.json", `{}`)}, program.ExitFailed, "listen and rules"},
		{[]string{"serve", "-config", write("half.json", `{"listen": "127.0.0.1:0", "rules": "good.json", "cert": "c"}`)}, program.ExitFailed, "go together"},
		{[]string{"serve", "-config", write("norules.json", `{"listen": "127.0.0.1:0", "rules": "none.json"}`)}, program.ExitFailed, "no such file"},
		{[]string{"serve", "-config", write("badrules.json", `{"listen": "127.0.0.1:0", "rules": "bad.json"}`)}, program.ExitFailed, "at least one route"},
		{[]string{"serve", "-config", write("badlimits.json", `{"listen": "127.0.0.1:0", "rules": "good.json", "limits": {"redis": "127.0.0.1:1", "failure": "hope"}}`)}, program.ExitFailed, "local, open or closed"},
		{[]string{"serve", "-config", write("badlisten.json", `{"listen": "nowhere:here", "rules": "good.json"}`)}, program.ExitFailed, "listen"},
		{[]string{"serve", "-config", write("badadmin.json", `{"listen": "127.0.0.1:0", "admin": "nowhere:here", "rules": "good.json"}`)}, program.ExitFailed, "listen"},
		{[]string{"serve", "-config", write("badcert.json", `{"listen": "127.0.0.1:0", "rules": "good.json", "cert": "c", "key": "k"}`)}, program.ExitFailed, "no such file"},
		{[]string{"check"}, program.ExitUsage, "gateway check FILE"},
		{[]string{"check", good}, 0, "1 routes, 1 pools"},
		{[]string{"check", bad}, program.ExitFailed, "at least one route"},
		{[]string{"key", "more"}, program.ExitUsage, "gateway key"},
		{[]string{"key"}, 0, "sha256"},
	} {
		code, out, errs := runMain(c.args...)
		require.Equal(t, c.code, code, "%q: %s", c.args, errs)
		require.Contains(t, out+errs, c.says, "%q", c.args)
	}
}

// TestServe runs a gateway from its files: with keys that gateway key has made, rules that
// change while it runs, metrics, and an access log.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	files := folder(t, 3)
	backend, err := site.New("b1", os.DirFS(files), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	_, out, _ := runMain("key")
	made := regexp.MustCompile(`(?m)^(?:key|sha256): +(\S+)`).FindAllStringSubmatch(out, -1)
	require.Len(t, made, 2)
	secret, digest := made[0][1], made[1][1]
	write := func(tier int) {
		text := fmt.Sprintf(`{
			"tiers": {"t": [{"name": "hour", "events": %d, "per": "1h"}]},
			"keys": [{"id": "k", "sha256": %q, "user": "u", "tier": "t"}],
			"routes": [{"name": "all", "path": "/", "pool": "p"}],
			"pools": [{"name": "p", "backends": [{"id": "b1", "url": %q}]}]}`, tier, digest, backend.URL())
		next := filepath.Join(dir, "next")
		require.NoError(t, os.WriteFile(next, []byte(text), 0o600))
		require.NoError(t, os.Rename(next, filepath.Join(dir, "rules.json")))
	}
	write(3)
	configFile := filepath.Join(dir, "config.json")
	require.NoError(t, os.WriteFile(configFile, []byte(`{"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "rules": "rules.json", "access": "-"}`), 0o600))
	c, err := readConfig(configFile)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	log, access := &lines{}, &lines{}
	ended := make(chan error, 1)
	go func() { ended <- serveConfig(ctx, c, slog.New(slog.NewJSONHandler(log, nil)), access) }()
	serving := map[string]any{}
	require.Eventually(t, func() bool { return log.find("gateway: serving", &serving) }, 10*time.Second, time.Millisecond)
	base, admin := "http://"+serving["listen"].(string), "http://"+serving["admin"].(string)
	get := func(url, key string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		require.NoError(t, err)
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(b)
	}
	status, _ := get(base+"/b/print%201.txt", "")
	require.Equal(t, 401, status)
	for range 3 {
		status, _ = get(base+"/b/print%201.txt", secret)
		require.Equal(t, 200, status)
	}
	status, _ = get(base+"/b/print%201.txt", secret)
	require.Equal(t, 429, status)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.json"), []byte(`{"oops`), 0o600))
	require.Eventually(t, func() bool { return log.has("rules refused") }, 10*time.Second, 5*time.Millisecond)
	status, _ = get(base+"/b/print%201.txt", secret)
	require.Equal(t, 429, status, "the old rules stay")
	write(50)
	require.Eventually(t, func() bool { return log.has("new rules by file") }, 10*time.Second, 5*time.Millisecond)
	status, _ = get(base+"/b/print%201.txt", secret)
	require.Equal(t, 200, status)

	status, metrics := get(admin+"/metrics", "")
	require.Equal(t, 200, status)
	require.Contains(t, metrics, `gateway_limited_total{gateway="gateway",route="all"} 2`)
	status, state := get(admin+"/state", "")
	require.Equal(t, 200, status)
	require.Contains(t, state, `"real":true`)
	require.NotContains(t, state+metrics, secret)
	require.NotContains(t, state+metrics, digest)
	status, _ = get(admin+"/", "")
	require.Equal(t, 200, status)
	require.True(t, access.has(`"status":429`))

	cancel()
	require.NoError(t, <-ended)
	_, err = net.Dial("tcp", serving["listen"].(string))
	require.Error(t, err)
}

// TestServeTLS: clients speak TLS, and HTTP/2 if they like.
func TestServeTLS(t *testing.T) {
	backend, err := site.New("b1", os.DirFS(folder(t, 1)), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	dir := t.TempDir()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(secret)
	require.NoError(t, err)
	for name, b := range map[string][]byte{
		"cert.pem":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		"key.pem":     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"rules.json":  fmt.Appendf(nil, `{"routes": [{"name": "a", "path": "/", "pool": "p", "public": true}], "pools": [{"name": "p", "backends": [{"id": "b", "url": %q}]}]}`, backend.URL()),
		"config.json": []byte(`{"listen": "127.0.0.1:0", "rules": "rules.json", "cert": "cert.pem", "key": "key.pem"}`),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	c, err := readConfig(filepath.Join(dir, "config.json"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	log := &lines{}
	ended := make(chan error, 1)
	go func() { ended <- serveConfig(ctx, c, slog.New(slog.NewJSONHandler(log, nil)), io.Discard) }()
	serving := map[string]any{}
	require.Eventually(t, func() bool { return log.find("gateway: serving", &serving) }, 10*time.Second, time.Millisecond)
	parsed, err := x509.ParseCertificate(cert)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Post("https://"+serving["listen"].(string)+"/echo", "text/plain", strings.NewReader("abc"))
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "abc", string(b))
	require.Equal(t, 2, res.ProtoMajor)
	cancel()
	require.NoError(t, <-ended)
}

// lines are what was written, for reading beside it.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), s)
}

// find reads the record of a message.
func (l *lines) find(msg string, into *map[string]any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, msg) {
			return json.Unmarshal([]byte(line), into) == nil
		}
	}
	return false
}
