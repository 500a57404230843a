package simnet

// Net carries packets between named places, badly. A packet may be lost, doubled,
// overtaken, or stuck for so long that nobody counts on it any more.
type Net struct {
	Loss, Double float64 // probability that a packet is
	Slow         float64 // probability of a delay up to SlowFor
	Stuck        float64 // probability of a delay up to StuckFor
	SlowFor      int64   // milliseconds
	StuckFor     int64   // milliseconds

	w   *World
	cut map[[2]string]bool
}

// NewNet makes a network on which every packet arrives within some milliseconds.
func NewNet(w *World) *Net { return &Net{w: w, cut: map[[2]string]bool{}} }

// Cut stops packets one way, those under way too.
func (n *Net) Cut(from, to string) { n.cut[[2]string{from, to}] = true }

// Heal undoes all cuts.
func (n *Net) Heal() { clear(n.cut) }

// Open tells whether packets get through.
func (n *Net) Open(from, to string) bool { return !n.cut[[2]string{from, to}] }

// Send lets a packet arrive, or not, once or twice.
func (n *Net) Send(from, to string, arrive func()) {
	copies := 1
	if n.w.Chance(n.Loss) {
		copies--
	}
	if n.w.Chance(n.Double) {
		copies++
	}
	for range copies {
		delay := n.w.Between(0, 3)
		switch p := n.w.Rand.Float64(); {
		case p < n.Stuck:
			delay = n.w.Between(n.SlowFor, n.StuckFor)
		case p < n.Stuck+n.Slow:
			delay = n.w.Between(3, n.SlowFor)
		}
		n.w.After(delay, func() {
			if n.Open(from, to) {
				arrive()
			}
		})
	}
}
