package tbs

import (
	"bytes"
	"encoding/binary"

	"github.com/pando-pki/pando/internal/pki"
)

// CutKey returns a request (DER) as it is kept beside the certificate that it led
// to: without the SubjectPublicKeyInfo, which the certificate has. Before what is
// left stands, as a uvarint, where the key was, from 1, or 0 where it is not cut.
func CutKey(request, spki []byte) []byte {
	at := bytes.Index(request, spki)
	if at < 0 || len(spki) == 0 {
		return append([]byte{0}, request...)
	}
	cut := binary.AppendUvarint(make([]byte, 0, len(request)-len(spki)+2), uint64(at)+1)
	cut = append(cut, request[:at]...)
	return append(cut, request[at+len(spki):]...)
}

// RestoreKey is the reverse of CutKey. What cannot be one is Malformed.
func RestoreKey(cut, spki []byte) ([]byte, error) {
	at, n := binary.Uvarint(cut)
	if n <= 0 || at > uint64(len(cut)-n)+1 {
		return nil, pki.Errorf(pki.Malformed, "the kept request is damaged")
	}
	rest := cut[n:]
	if at == 0 {
		return bytes.Clone(rest), nil
	}
	request := append(make([]byte, 0, len(rest)+len(spki)), rest[:at-1]...)
	request = append(request, spki...)
	return append(request, rest[at-1:]...), nil
}
