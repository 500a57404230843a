package local

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// Who signs users in, and for what.
const (
	loginIssuer   = "https://login.example.org"
	loginAudience = "files"
)

// login is who signs users in: it makes the tokens that Rules believe.
type login struct {
	key    ed25519.PrivateKey
	public string // in PEM
}

func newLogin() (*login, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	b, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return &login{key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b}))}, nil
}

func (l *login) rule() rules.Token {
	return rules.Token{ID: "login", Issuer: loginIssuer, Audience: loginAudience, Alg: "EdDSA", Key: l.public, Tier: "free", TierClaim: "tier", Prefix: "login."}
}

// Token is one for a user, with scopes, that ends after life.
func (l *Local) Token(user, scopes string, life time.Duration) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": loginIssuer, "aud": loginAudience, "sub": user, "scope": scopes, "exp": time.Now().Add(life).Unix(),
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(l.login.key, []byte(text))), nil
}
