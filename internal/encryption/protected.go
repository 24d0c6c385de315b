package encryption

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// encryptOpenPGP starts a message to the keys: session key packets and the literal packet are the library's, the encrypted packet between them is
// ours, of the oldest kind with integrity protection, which every gpg reads. Nothing is compressed: the dump is already, and gpg's compression would cost
// seven times the time and gain nothing. The library's own takes bytes one at a time, 240 MB a second on the machine of docs/decisions/0011, which cost a third of a dump's time.
func encryptOpenPGP(to io.Writer, keys openpgp.EntityList) (io.WriteCloser, error) {
	session := make([]byte, 32)
	if _, err := rand.Read(session); err != nil {
		return nil, err
	}
	for _, e := range keys {
		key, ok := e.EncryptionKey(time.Now())
		if !ok {
			return nil, fmt.Errorf("OpenPGP key %s has no key that encrypts", fingerprint(e))
		}
		if err := packet.SerializeEncryptedKeyAEAD(to, key.PublicKey, packet.CipherAES256, false, session, nil); err != nil {
			return nil, err
		}
	}
	body, err := newProtected(to, session)
	if err != nil {
		return nil, err
	}
	return packet.SerializeLiteral(body, true, "", 0)
}

// chunk is how much of a packet's body goes out at a time, in bytes: a power of two, which a partial length can tell (RFC 4880, 4.2.2.4).
const (
	chunk    = 1 << 16
	chunkTag = 224 + 16 // partial length of 2^16
)

// protected writes a symmetrically encrypted integrity protected data packet, version 1 (RFC 4880, 5.13): in CFB mode with a zero vector a random
// block, its last two bytes again, the data, and the SHA-1 of all that.
type protected struct {
	to     io.Writer
	block  cipher.Block
	vector [aes.BlockSize]byte // the cipher text before
	mdc    hash.Hash
	plain  []byte // waits to be encrypted
	body   []byte // waits to be written
}

var errClosed = errors.New("the message is complete")

func newProtected(to io.Writer, session []byte) (*protected, error) {
	block, err := aes.NewCipher(session)
	if err != nil {
		return nil, err
	}
	p := &protected{to: to, block: block, mdc: sha1.New(), plain: make([]byte, 0, chunk), body: make([]byte, 0, chunk)}
	if _, err := to.Write([]byte{0xC0 | 18}); err != nil { // the packet's tag
		return nil, err
	}
	p.body = append(p.body, 1) // its version
	var prefix [aes.BlockSize + 2]byte
	if _, err := rand.Read(prefix[:aes.BlockSize]); err != nil {
		return nil, err
	}
	copy(prefix[aes.BlockSize:], prefix[aes.BlockSize-2:])
	_, err = p.Write(prefix[:])
	return p, err
}

// Write implements io.Writer.
func (p *protected) Write(data []byte) (int, error) {
	if p.plain == nil {
		return 0, errClosed
	}
	p.mdc.Write(data)
	return len(data), p.add(data)
}

// add encrypts whole blocks, as many as a chunk holds at a time.
func (p *protected) add(data []byte) error {
	for len(data) > 0 {
		n := min(len(data), chunk-len(p.plain))
		p.plain = append(p.plain, data[:n]...)
		data = data[n:]
		if len(p.plain) == chunk {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush encrypts what waits, in place. Only the last time it may end within a block.
func (p *protected) flush() error {
	text, vector := p.plain, p.vector[:]
	var key [aes.BlockSize]byte
	for at := 0; at < len(text); at += aes.BlockSize {
		p.block.Encrypt(key[:], vector)
		part := text[at:min(at+aes.BlockSize, len(text))]
		subtle.XORBytes(part, part, key[:])
		vector = part
	}
	copy(p.vector[:], vector)
	p.plain = p.plain[:0]
	for len(text) > 0 {
		n := min(len(text), chunk-len(p.body))
		p.body = append(p.body, text[:n]...)
		text = text[n:]
		if len(p.body) == chunk {
			if err := p.put([]byte{chunkTag}); err != nil {
				return err
			}
		}
	}
	return nil
}

// put writes the part of the body that waits, behind its length.
func (p *protected) put(length []byte) error {
	if _, err := p.to.Write(length); err != nil {
		return err
	}
	_, err := p.to.Write(p.body)
	p.body = p.body[:0]
	return err
}

// Close ends the packet. The writer behind it stays open.
func (p *protected) Close() error {
	if p.plain == nil {
		return errClosed
	}
	trailer := []byte{0xC0 | 19, sha1.Size} // a modification detection code packet
	p.mdc.Write(trailer)
	err := p.add(p.mdc.Sum(trailer))
	if err == nil {
		err = p.flush()
	}
	p.plain = nil
	if err != nil {
		return err
	}
	return p.put(binary.BigEndian.AppendUint32([]byte{0xFF}, uint32(len(p.body))))
}
