// Package token checks JSON Web Tokens (RFC 7519, signed as in RFC 7515) the strict way
// (RFC 8725): which algorithm, whose key, which issuer and for whom is fixed by
// configuration, never by the token. A token cannot choose "none", nor have a public key
// taken for a secret, nor bring a key of its own; one that does not end is none.
//
// The signatures themselves are the standard library's. What is left of a library for
// tokens is what is refused here.
package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"
)

var (
	// ErrToken is matched by whatever is wrong with a token.
	ErrToken = errors.New("token")
	// ErrKey is matched by whatever is wrong with a configuration.
	ErrKey = errors.New("token: bad key")
)

// MaxSize bounds a token.
const MaxSize = 8 << 10

// Options are whose tokens are believed.
type Options struct {
	Issuer   string // iss; required
	Audience string // one of aud; required
	Alg      string // "HS256", "RS256", "ES256" or "EdDSA"
	// Key is the public key in PEM; for HS256 the secret in base64, at least 32 bytes.
	Key string
	// KeyID, if not empty, is the kid that tokens of this key bear. Two keys of an issuer,
	// the old and the new, are two Verifiers.
	KeyID     string
	TierClaim string        // the claim that Claims.Tier is read from; empty: none
	Leeway    time.Duration // by how much clocks may differ
}

// Verifier checks the tokens of one key. It is immutable.
type Verifier struct {
	o     Options
	check func(signed, signature []byte) bool
}

// New makes a Verifier. ErrKey says what is wrong with o.
func New(o Options) (*Verifier, error) {
	if o.Issuer == "" || o.Audience == "" || o.Leeway < 0 {
		return nil, fmt.Errorf("%w: issuer and audience are needed, and no negative leeway", ErrKey)
	}
	v := &Verifier{o: o}
	if o.Alg == "HS256" {
		secret, err := base64.StdEncoding.DecodeString(o.Key)
		if err != nil || len(secret) < sha256.Size {
			return nil, fmt.Errorf("%w: the secret of HS256 is not base64 of %d bytes or more", ErrKey, sha256.Size)
		}
		v.check = func(signed, signature []byte) bool {
			mac := hmac.New(sha256.New, secret)
			mac.Write(signed)
			return hmac.Equal(mac.Sum(nil), signature)
		}
		return v, nil
	}
	block, rest := pem.Decode([]byte(o.Key))
	if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
		return nil, fmt.Errorf("%w: not one PUBLIC KEY in PEM", ErrKey)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		if o.Alg == "RS256" && key.N.BitLen() >= 2048 {
			v.check = func(signed, signature []byte) bool {
				sum := sha256.Sum256(signed)
				return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
			}
		}
	case *ecdsa.PublicKey:
		if o.Alg == "ES256" && key.Curve == elliptic.P256() {
			v.check = func(signed, signature []byte) bool {
				if len(signature) != 64 {
					return false
				}
				sum := sha256.Sum256(signed)
				return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
			}
		}
	case ed25519.PublicKey:
		if o.Alg == "EdDSA" {
			v.check = func(signed, signature []byte) bool { return ed25519.Verify(key, signed, signature) }
		}
	}
	if v.check == nil {
		return nil, fmt.Errorf("%w: %q is none of HS256, RS256 with 2048 bits or more, ES256, EdDSA, or the key is another's", ErrKey, o.Alg)
	}
	return v, nil
}

// Claims are what a token says, when it is believed.
type Claims struct {
	Subject string
	Tier    string // "" if there is none
	Scopes  []string
	Expires time.Time
}

type header struct {
	Alg  string          `json:"alg"`
	Typ  string          `json:"typ"`
	Kid  string          `json:"kid"`
	Crit json.RawMessage `json:"crit"`
}

// Verify returns what a token says and which of all has believed it, or an error that
// matches ErrToken. Nothing that the token says is looked at before its signature is found
// right, but for who is to find it so.
func Verify(all []*Verifier, text string, now time.Time) (by int, c Claims, err error) {
	if len(text) > MaxSize {
		return 0, c, fmt.Errorf("%w: longer than %d bytes", ErrToken, MaxSize)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return 0, c, fmt.Errorf("%w: not three parts", ErrToken)
	}
	var h header
	var raw [3][]byte
	for i, part := range parts {
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return 0, c, fmt.Errorf("%w: part %d is not base64url", ErrToken, i+1)
		}
	}
	if err := json.Unmarshal(raw[0], &h); err != nil {
		return 0, c, fmt.Errorf("%w: header: %w", ErrToken, err)
	}
	if h.Crit != nil {
		return 0, c, fmt.Errorf("%w: extensions that must be understood are not", ErrToken)
	}
	if t := strings.ToLower(strings.TrimPrefix(h.Typ, "application/")); t != "" && t != "jwt" && t != "at+jwt" {
		return 0, c, fmt.Errorf("%w: type %q", ErrToken, h.Typ)
	}
	signed := []byte(text[:len(parts[0])+1+len(parts[1])])
	by = slices.IndexFunc(all, func(v *Verifier) bool {
		return h.Alg == v.o.Alg && (v.o.KeyID == "" || v.o.KeyID == h.Kid) && v.check(signed, raw[2])
	})
	if by < 0 {
		return 0, c, fmt.Errorf("%w: nobody's signature", ErrToken)
	}
	c, err = all[by].o.read(raw[1], now)
	return by, c, err
}

// read checks the claims of a token that bears a right signature.
func (o *Options) read(b []byte, now time.Time) (c Claims, err error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return c, fmt.Errorf("%w: claims: %w", ErrToken, err)
	}
	for name, into := range map[string]*string{"sub": &c.Subject, o.TierClaim: &c.Tier} {
		if err := text(all, name, into); err != nil {
			return c, err
		}
	}
	var issuer string
	if err := text(all, "iss", &issuer); err != nil {
		return c, err
	}
	audience, err := texts(all["aud"])
	if err != nil {
		return c, fmt.Errorf("%w: aud: %w", ErrToken, err)
	}
	if c.Scopes, err = texts(all["scope"]); err != nil {
		return c, fmt.Errorf("%w: scope: %w", ErrToken, err)
	}
	if len(c.Scopes) == 1 {
		c.Scopes = strings.Fields(c.Scopes[0])
	}
	exp, hasEnd, err := instant(all, "exp")
	if err != nil {
		return c, err
	}
	nbf, hasStart, err := instant(all, "nbf")
	if err != nil {
		return c, err
	}
	iat, hasBirth, err := instant(all, "iat")
	if err != nil {
		return c, err
	}
	c.Expires = exp
	switch {
	case issuer != o.Issuer:
		return c, fmt.Errorf("%w: issuer %q", ErrToken, issuer)
	case !slices.Contains(audience, o.Audience):
		return c, fmt.Errorf("%w: meant for %q", ErrToken, audience)
	case !hasEnd:
		return c, fmt.Errorf("%w: does not end", ErrToken)
	case !now.Before(exp.Add(o.Leeway)):
		return c, fmt.Errorf("%w: over since %v", ErrToken, exp)
	case hasStart && now.Add(o.Leeway).Before(nbf):
		return c, fmt.Errorf("%w: not before %v", ErrToken, nbf)
	case hasBirth && now.Add(o.Leeway).Before(iat):
		return c, fmt.Errorf("%w: made at %v, which is to come", ErrToken, iat)
	case c.Subject == "" || len(c.Subject) > 255 || strings.ContainsFunc(c.Subject, func(r rune) bool { return r <= ' ' || r > '~' }):
		return c, fmt.Errorf("%w: sub is not 1 to 255 visible characters", ErrToken)
	}
	return c, nil
}

// text reads a claim that is a string, if it is there.
func text(all map[string]json.RawMessage, name string, into *string) error {
	raw, ok := all[name]
	if !ok || name == "" {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil || string(raw) == "null" {
		return fmt.Errorf("%w: %s is no string", ErrToken, name)
	}
	return nil
}

// texts reads a string or a list of them.
func texts(raw json.RawMessage) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var list []string
	return list, json.Unmarshal(raw, &list)
}

// instant reads a NumericDate: seconds, perhaps with a fraction.
func instant(all map[string]json.RawMessage, name string) (t time.Time, ok bool, err error) {
	raw, ok := all[name]
	if !ok {
		return t, false, nil
	}
	var s float64
	if err := json.Unmarshal(raw, &s); err != nil || string(raw) == "null" || !(s >= 0 && s < 1<<40) {
		return t, false, fmt.Errorf("%w: %s is no time", ErrToken, name)
	}
	whole, part := math.Modf(s)
	return time.Unix(int64(whole), int64(part*1e9)), true, nil
}
