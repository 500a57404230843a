package frontier

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"

	"github.com/ashlar-go/ashlar/lsm"
)

// A trap is a program that makes links without end: calendars, sorted tables, session ids.
// Its URLs differ, but are made from one pattern, the template, and its pages soon have
// nothing new. So URLs are grouped by template, and a template is judged by its yield:
//
//	after TrapSample pages (later: after 8)     nine of ten barren   step up
//	                                            half or fewer        two steps down
//	at step s one URL in 2^s is visited, the others are passed over
//
// A trap of a million URLs so costs some 500 visits. One that comes to life again is found
// by the visits that remain. Nothing is judged by its looks: a shop with a million
// products has one template, and no page of it is passed over while they are new.
//
// The table is bounded: of the templates that are not suspected the ones seen least make
// room. What is suspected is stored, so that a restart does not walk into it again.
type traps struct {
	mu     sync.Mutex
	sample int // 0: off
	table  map[uint64]*yield
}

type yield struct {
	seen, barren uint16 // pages since the last judgement
	step         uint8
	turn         uint16 // counts URLs at this step
}

const (
	maxTemplates = 1 << 16
	maxStepTrap  = 10
	laterSample  = 8
)

func newTraps(sample int) *traps { return &traps{sample: sample, table: map[uint64]*yield{}} }

// pass reports whether a URL is to be passed over.
func (t *traps) pass(template func(string) uint64, url string) bool {
	if t.sample == 0 {
		return false
	}
	h := template(url)
	t.mu.Lock()
	defer t.mu.Unlock()
	y := t.table[h]
	if y == nil || y.step == 0 {
		return false
	}
	y.turn++
	return y.turn&(1<<y.step-1) != 0
}

// learn notes a page of a template, and returns its step and whether that is another now.
func (t *traps) learn(h uint64, barren bool) (step uint8, changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	y := t.table[h]
	if y == nil {
		if len(t.table) >= maxTemplates {
			t.evict()
		}
		y = &yield{}
		t.table[h] = y
	}
	y.seen++
	if barren {
		y.barren++
	}
	if int(y.seen) < t.sample && (y.step == 0 || y.seen < laterSample) {
		return y.step, false
	}
	before := y.step
	switch {
	case int(y.barren)*10 >= int(y.seen)*9:
		y.step = min(y.step+1, maxStepTrap)
	case y.barren*2 <= y.seen:
		y.step -= min(y.step, 2)
	}
	y.seen, y.barren = 0, 0
	return y.step, y.step != before
}

// judge notes a page of a URL's template, and writes down what follows.
func (f *Frontier) judge(url string, barren bool) error {
	if f.traps.sample == 0 {
		return nil
	}
	h := f.o.Template(url)
	step, changed := f.traps.learn(h, barren)
	if !changed {
		return nil
	}
	var b lsm.Batch
	if k := templateKey(h); step == 0 {
		b.Delete(k[:])
	} else {
		b.Put(k[:], appendTemplate(nil, step))
	}
	if err := f.db.Apply(&b, lsm.Queued); err != nil {
		return f.writeError("write a template", err)
	}
	return nil
}

func appendTemplate(b []byte, step uint8) []byte { return append(b, recordVersion, step) }

func decodeTemplate(v []byte) (step uint8, err error) {
	r := reader{b: v}
	r.version()
	if step = r.byte(); step == 0 || step > maxStepTrap {
		r.fail(errRange)
	}
	return step, r.end()
}

// loadTemplates reads what is suspected.
func (f *Frontier) loadTemplates() error {
	for e, err := range f.db.Scan(tagRange(tagTemplate)) {
		if err != nil {
			return storeError("read templates", err)
		}
		step, err := decodeTemplate(e.Value)
		if len(e.Key) != 9 {
			err = errors.Join(err, errRange)
		}
		if err != nil {
			return &RecordError{Key: e.Clone().Key, Detail: err.Error()}
		}
		if len(f.traps.table) < maxTemplates {
			f.traps.table[binary.BigEndian.Uint64(e.Key[1:])] = &yield{step: step, turn: math.MaxUint16}
		}
	}
	return nil
}

// evict makes room: of a few templates the one that matters least goes.
func (t *traps) evict() {
	var victim uint64
	least, looked := -1, 0
	for h, y := range t.table {
		if w := int(y.step)<<16 + int(y.seen); least < 0 || w < least {
			victim, least = h, w
		}
		if looked++; looked == 8 {
			break
		}
	}
	delete(t.table, victim)
}

// suspected is the number of templates of which URLs are passed over.
func (t *traps) suspected() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, y := range t.table {
		if y.step > 0 {
			n++
		}
	}
	return n
}

// template is what Options.Template is by default: a hash of the URL in which each run of
// digits counts as one, long words with digits in them are all the same, segments that
// repeat the one before count once, and parameters count by their names.
func template(url string) uint64 {
	const prime = 1099511628211 // FNV-1a
	sum := uint64(14695981039346656037)
	add := func(s string) {
		digits := false
		for i := range len(s) {
			c := s[i]
			if c >= '0' && c <= '9' {
				if digits {
					continue
				}
				digits, c = true, '0'
			} else {
				digits = false
			}
			sum = (sum ^ uint64(c)) * prime
		}
		sum = (sum ^ 0xff) * prime
	}
	path, query := url, ""
	for i := range len(url) {
		if url[i] == '?' {
			path, query = url[:i], url[i+1:]
			break
		}
	}
	if n := len(path); n > 0 && path[n-1] == '/' {
		sum *= prime
	}
	var last string
	for len(path) > 0 {
		seg := path
		for i := range len(path) {
			if path[i] == '/' {
				seg = path[:i]
				break
			}
		}
		path = path[min(len(seg)+1, len(path)):]
		if seg == last {
			continue
		}
		last = seg
		if len(seg) >= 16 && token(seg) {
			seg = "*"
		}
		add(seg)
	}
	for len(query) > 0 {
		name, end := len(query), len(query)
		for i := range len(query) {
			if query[i] == '=' && name == len(query) {
				name = i
			}
			if query[i] == '&' {
				end = i
				break
			}
		}
		add(query[:min(name, end)])
		query = query[min(end+1, len(query)):]
	}
	return sum
}

// token reports whether a segment looks like an identifier: letters and digits, of both
// kinds, and hyphens.
func token(s string) bool {
	digits, letters := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		case c != '-' && c != '_':
			return false
		}
	}
	return digits >= 4 && letters > 0
}
