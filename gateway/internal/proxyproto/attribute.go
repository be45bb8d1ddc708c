package proxyproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Attributes are vectors of type, length and value behind the addresses (section 2.2).
const (
	typeALPN      = 0x01
	typeAuthority = 0x02
	typeChecksum  = 0x03
	typeUniqueID  = 0x05
	typeTLS       = 0x20
	typeVersion   = 0x21 // this and those below are within typeTLS
	typeName      = 0x22
	typeCipher    = 0x23

	tlsUsed        = 1 << 0
	tlsCertificate = 1<<1 | 1<<2 // on this connection, in this session

	maxUniqueID = 128
)

// errChecksum has no figures: who can forge a header can forge them too, who cannot has a broken wire.
var errChecksum = errors.New("PROXY header: got another CRC32c than its bytes have, want it whole")

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	zeros      = make([]byte, 4) // not written; a local array would be allocated
)

// attributes reads those of a whole header, which begin at the offset from. Unknown ones are skipped. One that is there twice
// is refused: it would depend on the reader which of them counts.
func (h *Header) attributes(header []byte, from int) error {
	checksum := 0 // the offset of its value
	tls := false
	for at := from; at < len(header); {
		kind, value, err := vector(header[at:])
		if err != nil {
			return err
		}
		at += 3 + len(value)
		switch kind {
		case typeALPN:
			err = once(&h.ALPN, value, "ALPN")
		case typeAuthority:
			err = once(&h.Authority, value, "authority")
		case typeUniqueID:
			if err = once(&h.UniqueID, value, "unique ID"); err == nil && (len(value) < 1 || len(value) > maxUniqueID) {
				err = fmt.Errorf("PROXY header: got a unique ID of %d bytes, want 1..%d", len(value), maxUniqueID)
			}
		case typeTLS:
			if tls {
				return errors.New("PROXY header: got a second attribute about TLS, want one")
			}
			tls = true
			err = h.TLS.read(value)
		case typeChecksum:
			if len(value) != 4 || checksum != 0 {
				return fmt.Errorf("PROXY header: got a CRC32c of %d bytes, or a second one, want one of 4", len(value))
			}
			checksum = at - 4
		}
		if err != nil {
			return err
		}
	}
	if checksum != 0 && binary.BigEndian.Uint32(header[checksum:]) != sum(header, checksum) {
		return errChecksum
	}
	return nil
}

// sum is the checksum of a header as if it were 0 at the offset where it stands itself (section 2.2.3).
func sum(header []byte, checksum int) uint32 {
	c := crc32.Update(0, castagnoli, header[:checksum])
	c = crc32.Update(c, castagnoli, zeros)
	return crc32.Update(c, castagnoli, header[checksum+4:])
}

// vector reads the attribute that buf begins with.
func vector(buf []byte) (kind byte, value []byte, err error) {
	if len(buf) < 3 {
		return 0, nil, fmt.Errorf("PROXY header: got %d bytes after the last attribute, want none", len(buf))
	}
	length := int(binary.BigEndian.Uint16(buf[1:]))
	if length > len(buf)-3 {
		return 0, nil, fmt.Errorf("PROXY header: got %d bytes of attribute 0x%02x, want %d", len(buf)-3, buf[0], length)
	}
	return buf[0], buf[3 : 3+length : 3+length], nil
}

func once(field *[]byte, value []byte, name string) error {
	if *field != nil {
		return fmt.Errorf("PROXY header: got a second %s, want one", name)
	}
	*field = value
	return nil
}

// read reads what is said of the client's TLS (section 2.2.6).
func (t *TLS) read(value []byte) error {
	if len(value) < 5 {
		return fmt.Errorf("PROXY header: got %d bytes about TLS, want 5 at least", len(value))
	}
	t.Used = value[0]&tlsUsed != 0
	t.Certificate = value[0]&tlsCertificate != 0
	// Without a certificate nothing failed to be verified, and senders say 0.
	t.Verified = t.Certificate && binary.BigEndian.Uint32(value[1:]) == 0
	for value = value[5:]; len(value) > 0; {
		kind, part, err := vector(value)
		if err != nil {
			return err
		}
		value = value[3+len(part):]
		switch kind {
		case typeVersion:
			err = once(&t.Version, part, "version of TLS")
		case typeName:
			err = once(&t.CommonName, part, "common name")
		case typeCipher:
			err = once(&t.Cipher, part, "cipher")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
