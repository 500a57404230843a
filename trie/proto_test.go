package trie

import ("testing";"os";"bufio";"strings";"strconv";"time";"math/rand/v2";"sort";"fmt";"slices")

type pair struct{ t string; s uint64 }
func loadPairs(path string) []pair {
	f, err := os.Open(path); if err != nil { panic(err) }
	defer f.Close()
	sc := bufio.NewScanner(f)
	var out []pair
	for sc.Scan() { a,b,_ := strings.Cut(sc.Text(), "\t"); n,_ := strconv.ParseUint(b,10,64); out = append(out, pair{a,n}) }
	return out
}

func TestProto(t *testing.T) {
	path := os.Getenv("CORPUS")
	ps := loadPairs(path)
	headMin := 256
	if v := os.Getenv("HEADMIN"); v != "" { headMin, _ = strconv.Atoi(v) }
	t0 := time.Now()
	bl := NewBuilder(BuilderOptions{HeadMin: headMin, Fold: FoldNone})
	raw := 0
	var total uint64
	for _, i := range rand.New(rand.NewPCG(1,1)).Perm(len(ps)) { p := ps[i]; if err := bl.Add(p.t, p.s); err != nil { t.Fatal(err) }; raw += len(p.t); total += p.s }
	t1 := time.Now()
	s, err := bl.Build(t.Context()); if err != nil { t.Fatal(err) }
	t2 := time.Now()
	n := float64(len(ps))
	fmt.Printf("terms %d raw %.2f arena %.2f B/term, heads %.2f + %.2f total %.2f; add %v build %v symbols %d\n", len(ps), float64(raw)/n, float64(len(s.arena))/n, float64(len(s.heads.blob))/n, float64(len(s.heads.index))/n, float64(s.SizeBytes())/n, t1.Sub(t0), t2.Sub(t1), s.symbols.n)
	ps = ps[:0]
	for k, v := range s.All() { ps = append(ps, pair{k,v}) }
	if len(ps) != s.Len() { t.Fatal(len(ps), s.Len()) }
	for i := 0; i < len(ps); i += 97 { if sc, ok := s.Score(ps[i].t); !ok || sc != ps[i].s { t.Fatal(ps[i], sc, ok) } }
	f, _ := os.CreateTemp("", "x"); s.WriteTo(f); f.Close()
	t3 := time.Now()
	s, err = Open(f.Name()); if err != nil { t.Fatal(err) }
	fmt.Println("open", time.Since(t3))
	os.Remove(f.Name())

	// score-weighted terms, all prefixes
	cum := make([]uint64, len(ps)); var c uint64
	for i, p := range ps { c += p.s; cum[i] = c }
	rng := rand.New(rand.NewPCG(1,2))
	var qs [][]byte
	for len(qs) < 300000 {
		x := rng.Uint64N(total)
		i := sort.Search(len(cum), func(i int) bool { return cum[i] > x })
		for l := 1; l <= len(ps[i].t); l++ { qs = append(qs, []byte(ps[i].t[:l])) }
	}
	rng.Shuffle(len(qs), func(i,j int) { qs[i],qs[j]=qs[j],qs[i] })
	var cu cursor
	cu.keep = true
	var h hit
	lat := make([]int64, len(qs))
	hits := 0
	for round := 0; round < 2; round++ {
	for i, q := range qs {
		a := time.Now()
		cu.start(s, q, 10)
		k := 0
		for k < 10 && cu.next(&h) { k++ }
		lat[i] = int64(time.Since(a))
		hits += k
	}
	}
	slices.Sort(lat)
	// oracle on some
	for i := 0; i < 300; i++ {
		q := string(qs[i*(len(qs)/300)])
		lo := sort.Search(len(ps), func(i int) bool { return ps[i].t >= q })
		var m []pair
		for j := lo; j < len(ps) && strings.HasPrefix(ps[j].t, q); j++ { m = append(m, ps[j]) }
		sort.SliceStable(m, func(i,j int) bool { return m[i].s > m[j].s })
		for _, lim := range []int{10, 0} {
			cu.start(s, []byte(q), lim)
			for j := 0; j < 10 ; j++ {
				ok := cu.next(&h)
				if ok != (j < len(m)) { t.Fatalf("%q %d %v of %d", q, j, ok, len(m)) }
				if !ok { break }
				if string(h.key) != m[j].t || h.score != m[j].s { t.Fatalf("%q %d got %q %d want %q %d", q, j, h.key, h.score, m[j].t, m[j].s) }
			}
		}
	}
	fmt.Printf("hits %d p50 %d p90 %d p99 %d p999 %d (clock ~%d)\n", hits, lat[len(lat)/2], lat[len(lat)*9/10], lat[len(lat)*99/100], lat[len(lat)*999/1000], lat[0])
}
