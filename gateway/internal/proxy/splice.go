package proxy

import "github.com/weir-lb/weir/gateway/internal/socket"

// spliceFrom is how much of a body must be to come for a pipe to be worth it.
const spliceFrom = 128 << 10

// splice sends a body that comes by plain TCP as it is, within the kernel but for what has come with the head.
func (l *http1) splice(x *exchange) error {
	p, err := socket.OpenPipe()
	if err != nil { // no file descriptor left
		_, err = pass(l.c, &x.stream)
		return err
	}
	defer p.Free()
	if err := l.buffered(x); err != nil {
		return err
	}
	for !x.up.Done() {
		if err := x.stream.fill(p); err != nil {
			return err
		}
		l.c.armWrite()
		if err := p.Drain(l.c.Conn); err != nil {
			return err
		}
	}
	return nil
}

// buffered sends what has come with the head.
func (l *http1) buffered(x *exchange) error {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	for x.up.Buffered() > 0 {
		n, err := x.stream.Read(buf[:])
		if err != nil {
			return err
		}
		if _, err := l.c.Write(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// fill moves what the endpoint sends into a pipe.
func (s *stream) fill(p *socket.Pipe) error {
	s.x.up.ArmRead(s.x.pause())
	n, err := s.x.up.Fill(p)
	s.x.sent += int64(n)
	if err != nil {
		s.err = err
	}
	return err
}
