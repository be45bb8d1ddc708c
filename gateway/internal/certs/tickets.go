package certs

import (
	"crypto/rand"
	"time"
)

// Whoever learns a key can read what was sent in TLS 1.2 sessions that were resumed under it, so that a key encrypts for
// hours, not for weeks (RFC 9325, section 3.4 wants a week at most), and is forgotten when it has not for a day.
const (
	ticketRotation = 4 * time.Hour
	ticketLife     = 24 * time.Hour
)

// tickets are the keys that session tickets of one listener are encrypted with, the newest first. No other listener has
// them: a ticket says that a client was verified, by the authorities of one listener.
type tickets []ticketKey

type ticketKey struct {
	key  [32]byte
	made time.Time
}

// rotate makes a new key if the newest is old, drops those that are too old, and reports whether it did either.
func (t *tickets) rotate(now time.Time) bool {
	if len(*t) > 0 && now.Sub((*t)[0].made) < ticketRotation {
		return false
	}
	next := tickets{{made: now}}
	_, _ = rand.Read(next[0].key[:]) // never fails
	for _, k := range *t {
		if now.Sub(k.made) < ticketLife {
			next = append(next, k)
		}
	}
	*t = next
	return true
}

// forget makes all tickets void.
func (t *tickets) forget() { *t = nil }

func (t *tickets) keys() [][32]byte {
	keys := make([][32]byte, len(*t))
	for i, k := range *t {
		keys[i] = k.key
	}
	return keys
}
