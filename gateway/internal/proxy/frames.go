package proxy

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

const (
	prefaceLen   = 24 // RFC 9113, section 3.4
	frameHeadLen = 9  // section 4.1
	settingLen   = 6  // section 6.5.1

	dataType     = 0x0
	headersType  = 0x1
	resetType    = 0x3
	settingsType = 0x4
	pingType     = 0x6
	moreType     = 0x9 // CONTINUATION
	ackFlag      = 0x1 // of SETTINGS
	endFlag      = 0x1 // of DATA
	blockEndFlag = 0x4 // of HEADERS and CONTINUATION
)

// What a client may send at most of frames that bring nothing and make work: resets of its requests, SETTINGS, and DATA without
// any. The engine bounds what waits for an answer, and with it PING, of which clients of gRPC send as many as they get DATA.
const (
	idleCost  = int64(time.Second / 200) // one takes so long to be forgotten
	idleBurst = 1000 * idleCost
)

var errFlood = errors.New("too many frames that bring nothing")

// frames reads what a client of HTTP/2 sends, and takes out of its SETTINGS the values that later ones of the same frame
// replace: they are to be processed in order (RFC 9113, section 6.5.3), and net/http's engine ends a connection for them. It ends
// a connection that floods (section 10.5).
type frames struct {
	r    io.Reader
	left int    // of what passes as it is
	got  int    // of the frame in buf
	want int    // that make the frame known: its head, or all of SETTINGS
	buf  []byte // the frame, until it is known
	out  []byte // of buf, what is to be read
	idle int64  // when the idle frames so far will be forgotten, as now counts

	block int // length of a block of fields that has not ended
	pings int // in a row
	suspicion
	floods *floods
}

func newFrames(r io.Reader, counts *floods) *frames {
	return &frames{r: r, left: prefaceLen, want: frameHeadLen, buf: make([]byte, frameHeadLen), floods: counts}
}

// end counts the connection, which the engine has ended or the client, if it was for a flood.
func (f *frames) end() {
	if k := f.Swap(uint32(noFlood)); k != uint32(noFlood) {
		f.floods[k].Add(1)
	}
}

// Read implements io.Reader.
func (f *frames) Read(p []byte) (int, error) {
	if f.left > 0 && len(f.out) == 0 {
		n, err := f.r.Read(p[:min(len(p), f.left)])
		f.left -= n
		return n, err
	}
	for len(f.out) == 0 {
		n, err := f.r.Read(f.buf[f.got:f.want])
		if f.got += n; f.got == f.want {
			err = f.heard()
		}
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, f.out)
	f.out = f.out[n:]
	return n, nil
}

// heard looks at the head of a frame, or at the whole of SETTINGS.
func (f *frames) heard() error {
	if f.want > frameHeadLen {
		f.out = lastSettings(f.buf[:f.want])
		f.got, f.want = 0, frameHeadLen
		return nil
	}
	h := f.buf[:frameHeadLen]
	n := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
	if h[3] == resetType || h[3] == settingsType || h[3] == dataType && n == 0 && h[4]&endFlag == 0 {
		t := now()
		if f.idle = max(f.idle, t) + idleCost; f.idle > t+idleBurst {
			f.floods[map[byte]flood{dataType: dataFlood, resetType: resetFlood, settingsType: settingsFlood}[h[3]]].Add(1)
			return errFlood
		}
	}
	switch h[3] {
	case headersType, moreType:
		f.block, f.pings = f.block+n, 0
		if h[4]&blockEndFlag != 0 {
			f.block = 0
		}
	case pingType:
		f.pings++
	default:
		f.pings = 0
	}
	f.of(f.block, f.pings)
	if h[3] == settingsType && h[4]&ackFlag == 0 && n > settingLen && n%settingLen == 0 && n <= maxFrame {
		f.want += n
		if cap(f.buf) < f.want {
			f.buf = append(make([]byte, 0, f.want), h...)
		}
		f.buf = f.buf[:f.want]
		return nil
	}
	f.out, f.left, f.got = h, n, 0
	return nil
}

// lastSettings takes the settings out of a frame that come again in it.
func lastSettings(frame []byte) []byte {
	kept := frame[:frameHeadLen]
	for b := frame[frameHeadLen:]; len(b) > 0; b = b[settingLen:] {
		if !again(b[settingLen:], b[:2]) {
			kept = append(kept, b[:settingLen]...)
		}
	}
	binary.BigEndian.PutUint16(kept[1:], uint16(len(kept)-frameHeadLen))
	return kept
}

func again(settings, id []byte) bool {
	for ; len(settings) > 0; settings = settings[settingLen:] {
		if settings[0] == id[0] && settings[1] == id[1] {
			return true
		}
	}
	return false
}
