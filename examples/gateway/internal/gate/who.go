package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/token"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// identity is whom a key or a token stands for.
type identity struct {
	id, user, tier string
	scopes         []string
	requests       []ratelimit.Request // of the tier and of the user
}

// may says that somebody has all scopes.
func (i *identity) may(scopes []string) bool {
	for _, s := range scopes {
		if !slices.Contains(i.scopes, s) {
			return false
		}
	}
	return true
}

// people is who a plan knows.
type people struct {
	keys      map[[sha256.Size]byte]*identity
	verifiers []*token.Verifier
	tokens    []rules.Token // of the verifiers
	tiers     map[string][]ratelimit.Request
	user      []ratelimit.Request
}

func know(r *rules.Rules) (p *people, err error) {
	p = &people{keys: map[[sha256.Size]byte]*identity{}, tokens: r.Tokens, tiers: map[string][]ratelimit.Request{}}
	for name, limits := range r.Tiers {
		if p.tiers[name], err = requests("", limits); err != nil {
			return nil, err
		}
	}
	if p.user, err = requests("", r.User); err != nil {
		return nil, err
	}
	for _, k := range r.Keys {
		var sum [sha256.Size]byte
		if n, err := hex.Decode(sum[:], []byte(k.SHA256)); err != nil || n != len(sum) {
			return nil, fmt.Errorf("%w: key %q", rules.ErrRules, k.ID)
		}
		p.keys[sum] = &identity{id: k.ID, user: k.User, tier: k.Tier, scopes: k.Scopes, requests: p.counted("key:"+k.ID, k.Tier, k.User)}
	}
	for i := range r.Tokens {
		v, err := r.Tokens[i].Verifier()
		if err != nil {
			return nil, fmt.Errorf("%w: token %q: %w", rules.ErrRules, r.Tokens[i].ID, err)
		}
		p.verifiers = append(p.verifiers, v)
	}
	return p, nil
}

// counted is what is asked of a tier's limits for id, and of those of a user.
func (p *people) counted(id, tier, user string) []ratelimit.Request {
	out := slices.Concat(p.tiers[tier], p.user)
	for i := range out {
		if out[i].Key = id; i >= len(p.tiers[tier]) {
			out[i].Key = "user:" + user
		}
	}
	return out
}

// identify finds out whom a request is from. bad: it claims to know, wrongly.
func (p *people) identify(r *http.Request) (who *identity, bad bool) {
	secret, bearer := "", false
	switch keys, auth := r.Header.Values("X-Api-Key"), r.Header.Values("Authorization"); {
	case len(keys) == 0 && len(auth) == 0:
		return nil, false
	case len(keys) == 1 && len(auth) == 0:
		secret = keys[0]
	case len(keys) == 0 && len(auth) == 1:
		scheme, text, _ := strings.Cut(auth[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, true
		}
		secret, bearer = strings.TrimSpace(text), true
	default:
		return nil, true // which one would it be?
	}
	if bearer && len(p.verifiers) > 0 && strings.Count(secret, ".") == 2 {
		return p.believe(secret)
	}
	if secret == "" || len(secret) > 256 {
		return nil, true
	}
	who = p.keys[sha256.Sum256([]byte(secret))]
	return who, who == nil
}

// believe is whom a JSON Web Token was made out to. His tier's limits are counted for him
// alone, whichever of his tokens he shows.
func (p *people) believe(text string) (who *identity, bad bool) {
	by, claims, err := token.Verify(p.verifiers, text, time.Now())
	if err != nil {
		return nil, true
	}
	t := &p.tokens[by]
	who = &identity{user: t.Prefix + claims.Subject, tier: t.Tier, scopes: claims.Scopes}
	if _, known := p.tiers[claims.Tier]; known && claims.Tier != "" {
		who.tier = claims.Tier
	}
	who.id = "token:" + who.user
	who.requests = p.counted(who.id, who.tier, who.user)
	return who, false
}
