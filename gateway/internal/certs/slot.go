package certs

import (
	"fmt"
	"os"
	"slices"
	"time"
)

// Parts of what a listener or cluster has.
const (
	partCertificate = "certificate"
	partCA          = "ca"
)

// slot is a place for a certificate or for authorities: what serves there, and why what its files hold now does not.
type slot struct {
	part  string
	path  string // in the configuration
	files []file // certificate and key, or authorities

	serving   *material
	since     time.Time // that serving serves
	seen      []os.FileInfo
	refused   *Problem // of what the files hold now; nil if that serves
	refusedAt time.Time

	taken, refusals uint64
	told            State     // what was last told about its time
	toldAt          time.Time // and when
	toldOpen        bool      // that everybody can read the key
}

func pairSlot(p Pair) *slot {
	return &slot{part: partCertificate, path: p.Path, files: []file{
		{p.Path + ".cert", p.Cert, "certificates in PEM, first the one that the key belongs to"},
		{p.Path + ".key", p.Key, "its private key in PEM, without a passphrase"},
	}}
}

func caSlot(path, name string) *slot {
	return &slot{part: partCA, path: path, files: []file{{path, name, "certificates of authorities in PEM"}}}
}

// same reports whether two slots have the same files.
func (s *slot) same(o *slot) bool {
	return s.part == o.part && slices.EqualFunc(s.files, o.files, func(a, b file) bool { return a.name == b.name })
}

// adopt makes s go on from what o has.
func (s *slot) adopt(o *slot) {
	part, path, files := s.part, s.path, s.files
	*s = *o
	s.part, s.path, s.files = part, path, files
	s.seen = nil // it is looked at anew
}

func (s *slot) read() (*material, *Problem) {
	if s.part == partCA {
		return readAuthorities(s.files[0])
	}
	return readPair(s.files[0], s.files[1])
}

// look takes what the files hold, if they have changed and clash finds nothing wrong with it. The problem is why it is
// refused, or that it is Untimely and taken nevertheless, for want of a better. What was refused is looked at again each
// time: its time may come, and files that belong together are seldom written at once.
func (s *slot) look(now time.Time, clash func(*material) *Problem) (kind Kind, p *Problem) {
	stamps := make([]os.FileInfo, len(s.files))
	for i, f := range s.files {
		stamps[i] = f.stamp()
	}
	if s.refused == nil && s.seen != nil && slices.EqualFunc(s.seen, stamps, sameStamp) {
		return Nothing, nil
	}
	s.seen = stamps
	m, p := s.read()
	if p == nil && s.serving != nil && m.digest == s.serving.digest {
		if s.refused == nil {
			return Nothing, nil
		}
		s.refused = nil
		return Back, nil
	}
	if p == nil {
		p = clash(m)
	}
	if p != nil {
		return s.refuse(p, now), p
	}
	p = s.untimely(m, now)
	if better := s.serving != nil && s.untimely(s.serving, now) == nil; p != nil && better {
		return s.refuse(p, now), p
	}
	first := s.serving == nil
	s.serving, s.since, s.refused = m, now, nil
	s.told, s.toldAt = m.state(now), now
	if first {
		return Nothing, p
	}
	s.taken++
	return Taken, p
}

func (s *slot) refuse(p *Problem, now time.Time) Kind {
	if s.refused != nil && *s.refused == *p {
		return Nothing
	}
	if s.refused == nil {
		s.refusedAt = now
	}
	s.refused = p
	s.refusals++
	return Refused
}

// untimely says what is wrong with the time of m.
func (s *slot) untimely(m *material, now time.Time) *Problem {
	p := &Problem{Grade: Untimely, Path: s.files[0].path, Want: "one that is valid now"}
	switch m.state(now) {
	case Expired:
		p.Got = fmt.Sprintf("%s, for %s, that expired on %s", s.files[0].name, m.title(), date(m.notAfter))
	case NotYet:
		p.Got = fmt.Sprintf("%s, for %s, that is not valid before %s", s.files[0].name, m.title(), date(m.notBefore))
	default:
		return nil
	}
	return p
}

// warnings says what needs a look though it serves, once.
func (s *slot) warnings(now time.Time) (all []*Problem) {
	if s.serving == nil {
		return nil
	}
	if s.told = s.serving.state(now); s.told == Expiring {
		s.toldAt = now
		all = append(all, &Problem{
			Grade: Warning, Path: s.files[0].path, Want: "its successor",
			Got: fmt.Sprintf("%s, for %s, that expires on %s", s.files[0].name, s.serving.title(), date(s.serving.notAfter)),
		})
	}
	return append(all, s.open()...)
}

// open says that everybody on this host can read the key, if it was not told yet.
func (s *slot) open() []*Problem {
	if s.part != partCertificate || s.seen[1] == nil {
		return nil
	}
	mode := s.seen[1].Mode().Perm()
	told := s.toldOpen
	if s.toldOpen = mode&0o004 != 0; !s.toldOpen || told {
		return nil
	}
	return []*Problem{{
		Grade: Warning, Path: s.files[1].path, Want: "mode 0600 or 0640",
		Got: fmt.Sprintf("%s, a key that everybody on this host can read (mode %04o)", s.files[1].name, mode),
	}}
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
