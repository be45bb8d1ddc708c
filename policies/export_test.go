package policies

// Threshold is threshold, for the tests of the package.
type Threshold struct{ t threshold }

func NewThreshold() *Threshold { return new(Threshold) }

func (t *Threshold) At() float64 { return t.t.at() }

func (t *Threshold) Observe(x float64) { t.t.observe(x) }
