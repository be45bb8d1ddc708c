package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Dist draws times: of service, of networks, between requests.
type Dist interface {
	// Draw returns a time, never below 0.
	Draw(g *rand.Rand) time.Duration
	// Mean is what the average of many comes to.
	Mean() time.Duration
}

// Fixed is always the same.
type Fixed time.Duration

// Draw implements [Dist].
func (d Fixed) Draw(*rand.Rand) time.Duration { return time.Duration(d) }

// Mean implements [Dist].
func (d Fixed) Mean() time.Duration { return time.Duration(d) }

// Exp is exponential with this mean.
type Exp time.Duration

// Draw implements [Dist].
func (d Exp) Draw(g *rand.Rand) time.Duration { return time.Duration(g.ExpFloat64() * float64(d)) }

// Mean implements [Dist].
func (d Exp) Mean() time.Duration { return time.Duration(d) }

// Normal is normal; what would be below 0 is drawn again.
type Normal struct{ Mu, Sigma time.Duration }

// Draw implements [Dist].
func (d Normal) Draw(g *rand.Rand) time.Duration {
	for {
		if x := float64(d.Mu) + g.NormFloat64()*float64(d.Sigma); x > 0 {
			return time.Duration(x)
		}
	}
}

// Mean implements [Dist]: that of the normal distribution cut off at 0.
func (d Normal) Mean() time.Duration {
	if d.Sigma == 0 {
		return d.Mu
	}
	a := -float64(d.Mu) / float64(d.Sigma)
	density := math.Exp(-a*a/2) / math.Sqrt(2*math.Pi)
	return d.Mu + time.Duration(float64(d.Sigma)*density/(1-math.Erfc(-a/math.Sqrt2)/2))
}

// Pareto has a heavy tail: P(X > x) = (Min/x)^Alpha. Alpha above 1, or there is no mean.
type Pareto struct {
	Min   time.Duration
	Alpha float64
}

// Draw implements [Dist].
func (d Pareto) Draw(g *rand.Rand) time.Duration {
	return time.Duration(float64(d.Min) * math.Pow(1-g.Float64(), -1/d.Alpha))
}

// Mean implements [Dist].
func (d Pareto) Mean() time.Duration { return time.Duration(float64(d.Min) * d.Alpha / (d.Alpha - 1)) }

// Mix draws from Rare with probability P, and from Often otherwise.
type Mix struct {
	P           float64 // 0..1
	Rare, Often Dist
}

// Draw implements [Dist].
func (d Mix) Draw(g *rand.Rand) time.Duration {
	if g.Float64() < d.P {
		return d.Rare.Draw(g)
	}
	return d.Often.Draw(g)
}

// Mean implements [Dist].
func (d Mix) Mean() time.Duration {
	return time.Duration(d.P*float64(d.Rare.Mean()) + (1-d.P)*float64(d.Often.Mean()))
}

// Sum adds two independent times.
type Sum struct{ A, B Dist }

// Draw implements [Dist].
func (d Sum) Draw(g *rand.Rand) time.Duration { return d.A.Draw(g) + d.B.Draw(g) }

// Mean implements [Dist].
func (d Sum) Mean() time.Duration { return d.A.Mean() + d.B.Mean() }

// Arrivals say when requests come.
type Arrivals interface {
	// Next returns how long after now, counted from the start, the next request comes; negative: no more do.
	Next(now time.Duration, g *rand.Rand) time.Duration
}

// Poisson is so many requests a second, independent of each other.
type Poisson float64

// Next implements [Arrivals].
func (p Poisson) Next(_ time.Duration, g *rand.Rand) time.Duration {
	return time.Duration(g.ExpFloat64() / float64(p) * 1e9)
}

// Paced is so many requests a second, at even distances.
type Paced float64

// Next implements [Arrivals].
func (p Paced) Next(time.Duration, *rand.Rand) time.Duration {
	return time.Duration(1e9 / float64(p))
}

// Ramp is a Poisson process whose rate goes from one step to the next.
type Ramp []Step

// Step is a rate, in requests a second, from a time on. Ramp steps are in order.
type Step struct {
	From time.Duration
	Rate float64
}

// Next implements [Arrivals]. A gap that reaches into the next step is drawn anew from there on, which is exact: the
// process has no memory.
func (s Ramp) Next(now time.Duration, g *rand.Rand) time.Duration {
	at := now
	for k := 0; k < len(s); {
		end := time.Duration(math.MaxInt64)
		if k+1 < len(s) {
			end = s[k+1].From
		}
		if at >= end {
			k++
			continue
		}
		at = max(at, s[k].From)
		if rate := s[k].Rate; rate > 0 {
			if d := g.ExpFloat64() / rate * 1e9; float64(at)+d < float64(end) {
				return at + time.Duration(d) - now
			}
		}
		at, k = end, k+1
	}
	return -1
}

// Keys draws the affinity keys of requests.
type Keys interface{ Draw(g *rand.Rand) uint64 }

// Uniform keys are so many, all equally frequent.
type Uniform uint64

// Draw implements [Keys].
func (n Uniform) Draw(g *rand.Rand) uint64 { return mix(g.Uint64N(uint64(n))) }

// zipf draws key k, counted from 1, with a frequency of k^-alpha.
type zipf struct{ sums []float64 }

// Zipf returns n keys of which key k is k^-alpha as frequent as the first. alpha may be any number above 0.
func Zipf(n int, alpha float64) Keys {
	z := &zipf{make([]float64, n)}
	sum := 0.0
	for k := range z.sums {
		sum += math.Pow(float64(k+1), -alpha)
		z.sums[k] = sum
	}
	return z
}

// Draw implements [Keys].
func (z *zipf) Draw(g *rand.Rand) uint64 {
	x := g.Float64() * z.sums[len(z.sums)-1]
	lo, hi := 0, len(z.sums)-1
	for lo < hi {
		if mid := (lo + hi) / 2; z.sums[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return mix(uint64(lo))
}

// mix makes a hash of a small number: the finaliser of SplitMix64.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
