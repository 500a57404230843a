// Package history remembers what each user searched for, to put that first for them.
//
// A user is known by a keyed hash of whatever the client calls them, under a secret that
// lies beside the store: who has the store alone cannot tell whose history it is. A
// history is small, the last hundred terms, and is forgotten when the user says so.
package history

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/trie"
)

// MaxTerms is how many terms are remembered of a user, those of the last searches.
const MaxTerms = 100

// ErrSecret is matched by a file of the secret that is not one.
var ErrSecret = errors.New("autocomplete: bad secret file")

// Store is safe for concurrent use.
type Store struct {
	db     *lsm.DB
	secret []byte
	mu     sync.Mutex // held by changes: they read before they write
}

// entry is a term of a user's.
type entry struct {
	Term  string    `json:"t"`
	Count uint64    `json:"n"`
	Last  time.Time `json:"at"`
}

const secretSize = 32

// Open opens the histories in a folder, or makes it.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	secret, err := keep(filepath.Join(dir, "secret"))
	if err != nil {
		return nil, err
	}
	db, err := lsm.Open(filepath.Join(dir, "db"), lsm.Options{MemtableSize: 8 << 20, CacheSize: 8 << 20})
	if err != nil {
		return nil, err
	}
	return &Store{db: db, secret: secret}, nil
}

// keep reads the secret, or makes one.
func keep(path string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		secret = make([]byte, secretSize)
		_, _ = rand.Read(secret) // it never fails
		return secret, os.WriteFile(path, secret, 0o600)
	}
	if err == nil && len(secret) != secretSize {
		err = fmt.Errorf("%w: %s", ErrSecret, path)
	}
	return secret, err
}

// User is the number by which a user is known; 0 is nobody.
func (s *Store) User(name string) uint64 {
	if name == "" {
		return 0
	}
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(name))
	return max(1, binary.BigEndian.Uint64(mac.Sum(nil)))
}

func key(user uint64) []byte { return binary.BigEndian.AppendUint64(nil, user) }

func (s *Store) read(user uint64) (all []entry, err error) {
	b, err := s.db.Get(key(user))
	if errors.Is(err, lsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(b, &all)
}

// Add remembers a search. It is on disk a little later: a history is worth no wait.
func (s *Store) Add(user uint64, term string, at time.Time) error {
	if user == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.read(user)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(e entry) bool { return e.Term == term })
	e := entry{Term: term}
	if i >= 0 {
		e = all[i]
		all = slices.Delete(all, i, i+1)
	}
	e.Count++
	e.Last = at
	all = append(all, e) // newest last
	b, err := json.Marshal(all[max(0, len(all)-MaxTerms):])
	if err != nil {
		return err
	}
	return s.db.Put(key(user), b, lsm.Queued)
}

// Of is a user's history as a source to merge, and the terms in it that begin with
// prefix. It is nil if there are none.
func (s *Store) Of(user uint64, prefix string) (trie.Source, []string, error) {
	if user == 0 {
		return nil, nil, nil
	}
	all, err := s.read(user)
	if err != nil || len(all) == 0 {
		return nil, nil, err
	}
	x, err := trie.New(trie.Options{})
	if err != nil {
		return nil, nil, err
	}
	defer x.Close() // it can be searched all the same
	for _, e := range all {
		if err := x.Add(e.Term, e.Count); err != nil {
			return nil, nil, err
		}
	}
	var terms []string
	for c := range x.Completions(prefix) {
		terms = append(terms, c.Term)
	}
	if len(terms) == 0 {
		return nil, nil, nil
	}
	return x, terms, nil
}

// Forget removes a user's history, and is on disk when it returns.
func (s *Store) Forget(user uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.Delete(key(user))
}

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }
