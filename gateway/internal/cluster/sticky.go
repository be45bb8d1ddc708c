package cluster

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/weir-lb/weir/policies"
)

// Sticky lets policies bind a client to an endpoint by a cookie of the gateway's own.
type Sticky struct {
	Cookie string // its name, a token of RFC 9110, section 5.6.2
	// Key authenticates what is in it: at least MinStickyKey bytes, the same at every gateway that a client may come to.
	Key []byte
}

// MinStickyKey is the length of the shortest key, in bytes: what the security of a token rests on.
const MinStickyKey = 16

// tokenBytes is how much of the HMAC a token has (RFC 2104, section 5, allows half of it: 128 bits of SHA-256's 256).
const tokenBytes = 16

// Check says what is wrong with s, which may be nil.
func (s *Sticky) Check() error {
	switch {
	case s == nil:
		return nil
	case s.Cookie == "" || strings.ContainsFunc(s.Cookie, notToken):
		return fmt.Errorf("cookie %q, want a name of letters, digits and !#$%%&'*+-.^_`|~", s.Cookie)
	case len(s.Key) < MinStickyKey:
		return fmt.Errorf("a key of %d bytes for cookie %q, want at least %d", len(s.Key), s.Cookie, MinStickyKey)
	}
	return nil
}

func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// Tokens are the cookies of one table. All are computed when the table is made, so that a request costs one look into a
// map.
type Tokens struct {
	Cookie string

	index  map[string]int
	fields [][]byte
}

// newTokens returns the tokens for t. The token of an endpoint depends on the key, the cluster's name and the endpoint's
// ID, and on nothing else: it outlives tables, processes and addresses.
func newTokens(s *Sticky, cluster string, t *policies.Table) *Tokens {
	if s == nil {
		return nil
	}
	k := &Tokens{Cookie: s.Cookie, index: make(map[string]int, len(t.Endpoints)), fields: make([][]byte, len(t.Endpoints))}
	mac := hmac.New(sha256.New, s.Key)
	for i, e := range t.Endpoints {
		mac.Reset()
		_, _ = fmt.Fprintf(mac, "weir sticky 1 %d %s %s", len(cluster), cluster, e.ID) // the length parts the two names
		token := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tokenBytes])
		k.index[token] = i
		// Secure belongs here once the gateway speaks TLS.
		k.fields[i] = []byte(s.Cookie + "=" + token + "; Path=/; HttpOnly; SameSite=Lax")
	}
	return k
}

// Endpoint returns the index of the endpoint that token stands for, or policies.None.
func (k *Tokens) Endpoint(token []byte) int {
	if i, ok := k.index[string(token)]; ok {
		return i
	}
	return policies.None
}

// Field returns the value of the Set-Cookie field that binds a client to endpoint i. It is not to be written.
func (k *Tokens) Field(i int) []byte { return k.fields[i] }
