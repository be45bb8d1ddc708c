package fuel

// Var is a mutable global, as the host reaches it.
type Var interface {
	Get() uint64
	Set(uint64)
}

// Tank is the fuel of an instance, in units. It is not safe for concurrent use.
type Tank struct {
	hand, reserve Var
	deep          bool // the reserve was filled: else it need not be looked at
}

// NewTank returns the tank whose globals are exported as [Global] and [Reserve], with what is in them.
func NewTank(hand, reserve Var) Tank { return Tank{hand, reserve, true} }

// Fill sets what the next call may use, 0 or more.
func (t *Tank) Fill(units int64) { t.hand.Set(uint64(t.Hand(units))) }

// Left returns what is there; it is below 0 if more was wanted.
func (t *Tank) Left() int64 { return t.Rest(int64(t.hand.Get())) }

// Hand is Fill before the call of an [Entry]: it returns what that is to be handed.
func (t *Tank) Hand(units int64) int64 {
	if units <= Slice && !t.deep {
		return units
	}
	return t.share(units)
}

func (t *Tank) share(units int64) (hand int64) {
	hand = min(units, Slice)
	t.reserve.Set(uint64(units - hand))
	t.deep = units > hand
	return hand
}

// Rest is Left after a call of an [Entry] that handed back so much.
func (t *Tank) Rest(hand int64) int64 {
	if t.deep {
		hand += int64(t.reserve.Get())
	}
	return hand
}

// Take charges for what the host does in the guest's name, and reports whether there was as much.
func (t *Tank) Take(units int64) bool {
	left := int64(t.hand.Get()) - units
	if left < 0 && t.deep {
		reserve := int64(t.reserve.Get())
		more := min(reserve, Slice-left)
		t.reserve.Set(uint64(reserve - more))
		left += more
	}
	t.hand.Set(uint64(left))
	return left >= 0
}
