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
func (t *Tank) Fill(units int64) {
	hand := min(units, Slice)
	t.hand.Set(uint64(hand))
	if deep := units > hand; deep || t.deep {
		t.reserve.Set(uint64(units - hand))
		t.deep = deep
	}
}

// Left returns what is there; it is below 0 if more was wanted.
func (t *Tank) Left() int64 {
	left := int64(t.hand.Get())
	if t.deep {
		left += int64(t.reserve.Get())
	}
	return left
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
