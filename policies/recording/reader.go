package recording

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// reader takes a trace apart into records. What it says of the end of a trace is in damage: a trace that was cut off is
// good as far as it goes.
type reader struct {
	in     *bufio.Reader
	left   []byte // of the block in hand
	at     int64
	damage string
}

func newReader(in io.Reader) (*reader, error) {
	r := &reader{in: bufio.NewReaderSize(in, maxBlock)}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r.in, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(head) != magic {
		if string(head[:7]) == magic[:7] {
			return nil, fmt.Errorf("a trace of version %q, want %q", head[7:], magic[7:])
		}
		return nil, errors.New("this is not a trace that weir recorded")
	}
	r.at = int64(len(magic))
	return r, nil
}

// next returns a record, valid until it is called again, or io.EOF.
func (r *reader) next() ([]byte, error) {
	for len(r.left) == 0 {
		var head [blockHead]byte
		switch n, err := io.ReadFull(r.in, head[:]); {
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		case errors.Is(err, io.ErrUnexpectedEOF):
			return r.end(fmt.Sprintf("it is cut off at byte %d", r.at+int64(n)))
		case err != nil:
			return nil, err
		}
		size := binary.LittleEndian.Uint32(head[:])
		if size > maxRecord+binary.MaxVarintLen32 {
			return r.end(fmt.Sprintf("the block at byte %d claims %d bytes", r.at, size))
		}
		block, err := io.ReadAll(io.LimitReader(r.in, int64(size)))
		if err != nil {
			return nil, err
		}
		if len(block) < int(size) {
			return r.end(fmt.Sprintf("it is cut off at byte %d", r.at+blockHead+int64(len(block))))
		}
		if crc32.Checksum(block, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return r.end(fmt.Sprintf("the block at byte %d has another checksum than it claims", r.at))
		}
		r.at += blockHead + int64(size)
		r.left = block
	}
	n, k := binary.Uvarint(r.left)
	if k <= 0 || n == 0 || n > uint64(len(r.left)-k) {
		return r.end(fmt.Sprintf("a record in the block before byte %d claims %d bytes", r.at, n))
	}
	record := r.left[k : k+int(n)]
	r.left = r.left[k+int(n):]
	return record, nil
}

func (r *reader) end(damage string) ([]byte, error) {
	r.damage, r.left = damage, nil
	return nil, io.EOF
}

// Stream is one policy of one cluster in a trace.
type Stream struct {
	Cluster string   `json:"cluster"`
	Policy  string   `json:"policy"`
	Digest  string   `json:"digest,omitempty"`
	Headers []string `json:"headers,omitempty"` // whose text the trace holds
	Picks   int      `json:"-"`
}

// Scan lists the streams of a trace in the order in which they began. damage says why it ends where it ends, if that is
// not its end.
func Scan(in io.Reader) (streams []Stream, damage string, err error) {
	r, err := newReader(in)
	if err != nil {
		return nil, "", err
	}
	index := map[int]int{}
	for {
		record, err := r.next()
		if errors.Is(err, io.EOF) {
			return streams, r.damage, nil
		}
		if err != nil {
			return nil, "", err
		}
		c := codec{b: record[1:], reading: true}
		var id int
		switch num(&c, &id); kind(record[0]) {
		case kindStream:
			var s Stream
			if c.stream(&s); c.bad {
				return nil, "", errRecord
			}
			if _, again := index[id]; !again {
				index[id] = len(streams)
				streams = append(streams, s)
			}
		case kindPick:
			if i, ok := index[id]; ok {
				streams[i].Picks++
			}
		}
	}
}

func (c *codec) stream(s *Stream) {
	c.text(&s.Cluster)
	c.text(&s.Policy)
	c.text(&s.Digest)
	c.texts(&s.Headers)
}
