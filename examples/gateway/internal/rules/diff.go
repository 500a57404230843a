package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Diff says in words what next changes, for an audit: a line for each entry that came,
// went or changed. Secrets are not in it.
func Diff(old, next *Rules) []string {
	var out []string
	if old == nil {
		old = &Rules{}
	}
	note := func(what string, a, b any) {
		was, is := encode(a), encode(b)
		switch {
		case was == is:
		case was == "null":
			out = append(out, fmt.Sprintf("%s: new: %s", what, is))
		case is == "null":
			out = append(out, what+": gone")
		default:
			out = append(out, fmt.Sprintf("%s: %s → %s", what, was, is))
		}
	}
	note("trusted", old.Trusted, next.Trusted)
	note("cors", old.CORS, next.CORS)
	note("ip", old.IP, next.IP)
	note("user", old.User, next.User)
	entries(note, "tier", tiers(old), tiers(next))
	entries(note, "key", list(old.Keys, func(k Key) (string, any) { return k.ID, keyEntry(k) }), list(next.Keys, func(k Key) (string, any) { return k.ID, keyEntry(k) }))
	entries(note, "token", list(old.Tokens, func(t Token) (string, any) { return t.ID, t.veiled() }), list(next.Tokens, func(t Token) (string, any) { return t.ID, t.veiled() }))
	entries(note, "block", list(old.Block, func(b Block) (string, any) { return b.Name, b }), list(next.Block, func(b Block) (string, any) { return b.Name, b }))
	entries(note, "route", list(old.Routes, func(r Route) (string, any) { return r.Name, r }), list(next.Routes, func(r Route) (string, any) { return r.Name, r }))
	entries(note, "pool", list(old.Pools, func(p Pool) (string, any) { return p.Name, p }), list(next.Pools, func(p Pool) (string, any) { return p.Name, p }))
	return out
}

func keyEntry(k Key) any { return append([]string{k.User, k.Tier, k.SHA256[:8]}, k.Scopes...) }

// veiled is the token's entry with a digest in the place of the key, which may be a secret.
func (t Token) veiled() Token {
	sum := sha256.Sum256([]byte(t.Key))
	t.Key = "sha256:" + hex.EncodeToString(sum[:4])
	return t
}

func tiers(r *Rules) map[string]any {
	out := map[string]any{}
	for name, limits := range r.Tiers {
		out[name] = limits
	}
	return out
}

func list[T any](all []T, entry func(T) (string, any)) map[string]any {
	out := map[string]any{}
	for _, v := range all {
		name, value := entry(v)
		out[name] = value
	}
	return out
}

// entries compares two maps, in the order of names.
func entries(note func(string, any, any), what string, old, next map[string]any) {
	names := []string{}
	for name := range old {
		names = append(names, name)
	}
	for name := range next {
		if _, ok := old[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		note(what+" "+name, old[name], next[name])
	}
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // plain data: cannot be
		return err.Error()
	}
	return string(b)
}
