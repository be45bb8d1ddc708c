package proxy

// records follows the records of TLS (RFC 8446, section 5.1) on their way from the socket to crypto/tls, to know whether that
// holds something which nobody has asked it for: it reads from the socket what there is, but only if it lacks a whole record.
type records struct {
	header [5]byte // type, version, length: as much of it as has come
	have   int     // bytes of it
	left   int     // bytes of the record that are still to come
	ended  int     // records of application data that ended in what was read from the socket last
	taken  int     // at least so many of them has TLS passed on since
}

// applicationData is a type of records. All that is encrypted looks like that in TLS 1.3, in TLS 1.2 only what it is for.
const applicationData = 23

// came notes what was read from the socket.
func (r *records) came(p []byte) {
	r.ended, r.taken = 0, 0 // all that ended before is used up
	for len(p) > 0 {
		if r.left == 0 {
			n := copy(r.header[r.have:], p)
			p = p[n:]
			if r.have += n; r.have < len(r.header) {
				return
			}
			r.have, r.left = 0, int(r.header[3])<<8|int(r.header[4])
		}
		n := min(r.left, len(p))
		p = p[n:]
		if r.left -= n; r.left == 0 && r.header[0] == applicationData {
			r.ended++
		}
	}
}

// read notes that TLS has given all that it had of a record, or more than one.
func (r *records) read() { r.taken++ }

// none reports whether TLS holds nothing.
func (r *records) none() bool { return r.have == 0 && r.left == 0 && r.taken >= r.ended }

// followed is a connection below TLS whose records are followed.
type followed struct{ wire }

// Read implements net.Conn.
func (f followed) Read(p []byte) (int, error) {
	n, err := f.wire.Read(p)
	f.records.came(p[:n])
	return n, err
}
