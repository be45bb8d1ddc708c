package certs

import "time"

// State says how a certificate stands to the time.
type State string

// States of certificates.
const (
	Valid    State = "valid"
	Expiring State = "expiring" // less than 14 days are left, or a third of its life if that is less
	Expired  State = "expired"
	NotYet   State = "not yet valid"
)

// expiringWithin is how long before its end a certificate is warned of. Of one that lives for days alone it is a third of
// its life, which is when ACME clients renew.
const expiringWithin = 14 * 24 * time.Hour

func (m *material) state(now time.Time) State {
	switch left := m.notAfter.Sub(now); {
	case left < 0:
		return Expired
	case now.Before(m.notBefore):
		return NotYet
	case left < min(expiringWithin, m.notAfter.Sub(m.notBefore)/3):
		return Expiring
	}
	return Valid
}

// remindEvery is how often the log hears of a certificate that is about to expire, or has.
const remindEvery = 24 * time.Hour

// Kind is what happened to a certificate.
type Kind string

// Kinds of news.
const (
	Nothing Kind = ""
	Taken   Kind = "taken"    // what the files hold now serves
	Refused Kind = "refused"  // what served before serves on
	Back    Kind = "back"     // the files hold what serves again
	Remind  Kind = "reminder" // it is about to expire, or has, or is not valid yet
	Look    Kind = "look"     // it serves, and something about it needs a look
)

// News is something that happened to a certificate, or to authorities.
type News struct {
	Kind    Kind
	Side    string // listener, cluster
	Of      string // its name
	Part    string // certificate, ca
	Title   string // the first name of what serves
	State   State  // of what serves
	Until   time.Time
	Problem *Problem // nil if there is none
}

// Status describes a certificate, or authorities, and what serves.
type Status struct {
	Side  string   `json:"side"` // listener, cluster
	Of    string   `json:"of"`   // its name
	Part  string   `json:"part"` // certificate, ca
	Path  string   `json:"path"` // in the configuration
	Files []string `json:"files"`

	Title     string    `json:"-"`
	Names     []string  `json:"names"`
	Key       string    `json:"key"`    // rsa, ecdsa, ed25519
	SHA256    string    `json:"sha256"` // of the certificate that serves
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Since     time.Time `json:"since"` // when it was taken
	State     State     `json:"state"`

	Refused      string    `json:"refused,omitempty"` // why what the files hold now does not serve
	RefusedSince time.Time `json:"refused_since,omitzero"`

	Taken    uint64 `json:"taken"` // how often files were taken since the start, and refused
	Refusals uint64 `json:"refusals"`
}

func (s *slot) status(side, of string, now time.Time) Status {
	m := s.serving
	st := Status{
		Side: side, Of: of, Part: s.part, Path: s.path, Title: m.title(), Names: m.names, Key: m.key, SHA256: m.leaf,
		NotBefore: m.notBefore, NotAfter: m.notAfter, Since: s.since, State: m.state(now), Taken: s.taken, Refusals: s.refusals,
	}
	for _, f := range s.files {
		st.Files = append(st.Files, f.name)
	}
	if s.refused != nil {
		st.Refused, st.RefusedSince = s.refused.Error(), s.refusedAt
	}
	return st
}
