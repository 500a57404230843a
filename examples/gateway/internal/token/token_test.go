package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var now = time.Unix(1_700_000_000, 0)

// signer makes tokens of one algorithm.
type signer struct {
	o    Options
	sign func(b []byte) []byte
}

func publicPEM(t testing.TB, key any) string {
	b, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b}))
}

func signers(t testing.TB) map[string]signer {
	secret := sha256.Sum256([]byte("a secret"))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	o := func(alg, key string) Options {
		return Options{Issuer: "https://login", Audience: "api", Alg: alg, Key: key, TierClaim: "plan", Leeway: 10 * time.Second}
	}
	return map[string]signer{
		"HS256": {o("HS256", base64.StdEncoding.EncodeToString(secret[:])), func(b []byte) []byte {
			mac := hmac.New(sha256.New, secret[:])
			mac.Write(b)
			return mac.Sum(nil)
		}},
		"RS256": {o("RS256", publicPEM(t, &rsaKey.PublicKey)), func(b []byte) []byte {
			sum := sha256.Sum256(b)
			sig, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, sum[:])
			require.NoError(t, err)
			return sig
		}},
		"ES256": {o("ES256", publicPEM(t, &ecKey.PublicKey)), func(b []byte) []byte {
			sum := sha256.Sum256(b)
			r, s, err := ecdsa.Sign(rand.Reader, ecKey, sum[:])
			require.NoError(t, err)
			sig := make([]byte, 64)
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
			return sig
		}},
		"EdDSA": {o("EdDSA", publicPEM(t, edPublic)), func(b []byte) []byte { return ed25519.Sign(edKey, b) }},
	}
}

func encode(t testing.TB, v any) string {
	if s, ok := v.(string); ok {
		return base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (s signer) token(t testing.TB, header, claims any) string {
	text := encode(t, header) + "." + encode(t, claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(s.sign([]byte(text)))
}

type object = map[string]any

func good() object {
	return object{"iss": "https://login", "aud": []string{"web", "api"}, "sub": "ada", "exp": now.Unix() + 60, "nbf": now.Unix(), "iat": now.Unix(), "scope": "read write", "plan": "gold"}
}

func with(name string, value any) object {
	c := maps.Clone(good())
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

func TestVerify(t *testing.T) {
	all := signers(t)
	var verifiers []*Verifier
	names := []string{"HS256", "RS256", "ES256", "EdDSA"}
	for _, name := range names {
		v, err := New(all[name].o)
		require.NoError(t, err, name)
		verifiers = append(verifiers, v)
	}
	for i, name := range names {
		by, c, err := Verify(verifiers, all[name].token(t, object{"alg": name, "typ": "JWT", "kid": "any"}, good()), now)
		require.NoError(t, err, name)
		require.Equal(t, i, by)
		require.Equal(t, Claims{Subject: "ada", Tier: "gold", Scopes: []string{"read", "write"}, Expires: now.Add(time.Minute)}, c)
	}
	s := all["EdDSA"]
	for what, claims := range map[string]object{
		"one audience": with("aud", "api"), "no start": with("nbf", nil), "fractions": with("exp", float64(now.Unix())+0.5),
		"within the leeway": with("exp", now.Unix()-9), "starts within the leeway": with("nbf", now.Unix()+10), "no scope": with("scope", nil), "scopes as a list": with("scope", []string{"a", "b"}),
	} {
		_, _, err := Verify(verifiers, s.token(t, object{"alg": "EdDSA"}, claims), now)
		require.NoError(t, err, what)
	}
}

// TestRefused: whatever is wrong, it is said, and nothing is believed.
func TestRefused(t *testing.T) {
	all := signers(t)
	s := all["EdDSA"]
	v, err := New(s.o)
	require.NoError(t, err)
	right := s.token(t, object{"alg": "EdDSA"}, good())
	parts := strings.Split(right, ".")
	asSecret := signer{sign: func(b []byte) []byte { // the public key taken for a secret
		mac := hmac.New(sha256.New, []byte(s.o.Key))
		mac.Write(b)
		return mac.Sum(nil)
	}}
	unsigned := signer{sign: func([]byte) []byte { return nil }}
	head := object{"alg": "EdDSA"}
	for what, text := range map[string]string{
		"empty":                   "",
		"dots":                    "..",
		"two parts":               parts[0] + "." + parts[1],
		"four parts":              right + ".",
		"huge":                    strings.Repeat("a", MaxSize+1),
		"padding":                 right + "=",
		"a line end within":       parts[0] + ".\n" + parts[1] + "." + parts[2],
		"bits at the end":         right[:len(right)-1] + string(right[len(right)-1]+1),
		"another signature":       parts[0] + "." + parts[1] + "." + encode(t, strings.Repeat("x", 64)),
		"other claims":            parts[0] + "." + encode(t, with("sub", "eve")) + "." + parts[2],
		"none":                    unsigned.token(t, object{"alg": "none"}, good()),
		"no signature":            unsigned.token(t, head, good()),
		"None":                    unsigned.token(t, object{"alg": "None"}, good()),
		"no algorithm":            s.token(t, object{}, good()),
		"public key as a secret":  asSecret.token(t, object{"alg": "HS256"}, good()),
		"another algorithm's key": all["RS256"].token(t, object{"alg": "RS256"}, good()),
		"claims another's alg":    all["RS256"].token(t, head, good()),
		"brings its key":          all["ES256"].token(t, object{"alg": "EdDSA", "jwk": object{"kty": "EC"}}, good()),
		"critical extension":      s.token(t, object{"alg": "EdDSA", "crit": []string{"b64"}}, good()),
		"encrypted":               s.token(t, object{"alg": "EdDSA", "typ": "JWE"}, good()),
		"header is no object":     s.token(t, "[]", good()),
		"claims are no object":    s.token(t, head, "7"),
		"claims end early":        s.token(t, head, `{"iss":`),
		"no issuer":               s.token(t, head, with("iss", nil)),
		"another issuer":          s.token(t, head, with("iss", "https://evil")),
		"issuer is a list":        s.token(t, head, with("iss", []string{"https://login"})),
		"no audience":             s.token(t, head, with("aud", nil)),
		"another audience":        s.token(t, head, with("aud", "shop")),
		"audience is a number":    s.token(t, head, with("aud", 7)),
		"no end":                  s.token(t, head, with("exp", nil)),
		"end is null":             s.token(t, head, `{"iss":"https://login","aud":"api","sub":"ada","exp":null}`),
		"end is text":             s.token(t, head, with("exp", "9999999999")),
		"end beyond all":          s.token(t, head, `{"iss":"https://login","aud":"api","sub":"ada","exp":1e300}`),
		"end before all":          s.token(t, head, with("exp", -1)),
		"over":                    s.token(t, head, with("exp", now.Unix()-10)),
		"not yet":                 s.token(t, head, with("nbf", now.Unix()+11)),
		"from the future":         s.token(t, head, with("iat", now.Unix()+11)),
		"no subject":              s.token(t, head, with("sub", nil)),
		"empty subject":           s.token(t, head, with("sub", "")),
		"subject with a line end": s.token(t, head, with("sub", "ada\r\nX-Tier: gold")),
		"long subject":            s.token(t, head, with("sub", strings.Repeat("a", 256))),
		"subject is a number":     s.token(t, head, with("sub", 7)),
		"tier is a list":          s.token(t, head, with("plan", []string{"gold"})),
		"scope is an object":      s.token(t, head, with("scope", object{})),
	} {
		_, _, err := Verify([]*Verifier{v}, text, now)
		require.ErrorIs(t, err, ErrToken, what)
	}
	_, _, err = Verify(nil, right, now)
	require.ErrorIs(t, err, ErrToken)
}

// TestKeyIDs: the key that a token names must be the one that it is checked by.
func TestKeyIDs(t *testing.T) {
	s := signers(t)["EdDSA"]
	s.o.KeyID = "2026-11"
	v, err := New(s.o)
	require.NoError(t, err)
	for kid, ok := range map[string]bool{"2026-11": true, "2026-10": false, "": false} {
		_, _, err := Verify([]*Verifier{v}, s.token(t, object{"alg": "EdDSA", "kid": kid}, good()), now)
		require.Equal(t, ok, err == nil, kid)
	}
}

func TestBadKeys(t *testing.T) {
	all := signers(t)
	small := "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALeakjfC1W0bHmiUF2hUJBvLVFLoAyoX\n5ZSuV1Yj3ccVYcYNcjVLSvH7DXVuWQW4/OQjj6/aySJVR6Ro0Hp1YhkCAwEAAQ==\n-----END PUBLIC KEY-----\n"
	for what, edit := range map[string]func(*Options){
		"no issuer":           func(o *Options) { o.Issuer = "" },
		"no audience":         func(o *Options) { o.Audience = "" },
		"negative leeway":     func(o *Options) { o.Leeway = -1 },
		"no algorithm":        func(o *Options) { o.Alg = "" },
		"none":                func(o *Options) { o.Alg = "none" },
		"another's algorithm": func(o *Options) { o.Alg = "RS256" },
		"a key as a secret":   func(o *Options) { o.Alg = "HS256" },
		"a short secret":      func(o *Options) { o.Alg, o.Key = "HS256", "c2VjcmV0" },
		"no key":              func(o *Options) { o.Key = "" },
		"two keys":            func(o *Options) { o.Key += o.Key },
		"a private key":       func(o *Options) { o.Key = strings.ReplaceAll(o.Key, "PUBLIC", "PRIVATE") },
		"no key in it":        func(o *Options) { o.Key = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n" },
		"a short key":         func(o *Options) { o.Alg, o.Key = "RS256", small },
	} {
		o := all["EdDSA"].o
		edit(&o)
		_, err := New(o)
		require.ErrorIs(t, err, ErrKey, what)
	}
}

func FuzzVerify(f *testing.F) {
	s := signers(f)["HS256"]
	v, err := New(s.o)
	require.NoError(f, err)
	f.Add(`{"alg":"HS256"}`, `{"iss":"https://login","aud":"api","sub":"ada","exp":1700000060}`, "")
	f.Fuzz(func(t *testing.T, header, claims, text string) {
		_, c, err := Verify([]*Verifier{v}, s.token(t, header, claims), now)
		if err == nil {
			require.NotEmpty(t, c.Subject)
			require.True(t, c.Expires.After(now.Add(-s.o.Leeway)))
		} else {
			require.ErrorIs(t, err, ErrToken)
		}
		_, _, err = Verify([]*Verifier{v}, text, now)
		require.ErrorIs(t, err, ErrToken, "nobody can guess the secret")
	})
}

func BenchmarkVerify(b *testing.B) {
	for name, s := range signers(b) {
		v, err := New(s.o)
		require.NoError(b, err)
		text := s.token(b, object{"alg": name}, good())
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Verify([]*Verifier{v}, text, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
