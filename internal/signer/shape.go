package signer

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/tbs"
)

// Context-specific constructed tags.
const (
	tag0 asn1.Tag = 0xa0 + iota
	tag1
	tag2
	tag3
)

// checkShape checks that message has the shape that the purpose says, whole.
func (p Purpose) checkShape(key tbs.PublicKey, message []byte) error {
	ok := false
	switch p {
	case Certificate:
		ok = isCertificate(key, message)
	case CRL:
		shape := crlShape{key: key}
		shape.Write(message)
		return shape.check()
	case OCSP:
		ok = isResponse(key, message)
	case Request:
		ok = isRequest(key, message)
	case Checkpoint:
		ok = isCheckpoint(string(message))
	case LotReport:
		body, begins := bytes.CutPrefix(message, []byte("pando lot report 1\n"))
		ok = begins && bytes.HasPrefix(body, []byte("{")) && bytes.HasSuffix(body, []byte("}\n")) && json.Valid(body)
	}
	if !ok {
		return fmt.Errorf("what is to be signed is not a whole %s of this key", p)
	}
	return nil
}

// isCertificate checks each element of a TBSCertificate of version 3.
func isCertificate(key tbs.PublicKey, message []byte) bool {
	in := cryptobyte.String(message)
	var body, v, algorithm cryptobyte.String
	var n int
	return in.ReadASN1(&body, asn1.SEQUENCE) && in.Empty() &&
		body.ReadASN1(&v, tag0) && v.ReadASN1Integer(&n) && n == 2 && v.Empty() &&
		body.SkipASN1(asn1.INTEGER) && // serialNumber
		body.ReadASN1Element(&algorithm, asn1.SEQUENCE) && bytes.Equal(algorithm, key.SignatureAlgorithm().DER) &&
		body.SkipASN1(asn1.SEQUENCE) && // issuer
		body.SkipASN1(asn1.SEQUENCE) && // validity
		body.SkipASN1(asn1.SEQUENCE) && // subject
		body.SkipASN1(asn1.SEQUENCE) && // subjectPublicKeyInfo
		body.SkipASN1(tag3) && // extensions
		body.Empty()
}

// isResponse checks each element of a ResponseData of version 1, which is not
// encoded, with the responder by key.
func isResponse(key tbs.PublicKey, message []byte) bool {
	in := cryptobyte.String(message)
	var body, responder, hash cryptobyte.String
	return in.ReadASN1(&body, asn1.SEQUENCE) && in.Empty() &&
		body.ReadASN1(&responder, tag2) && // responderID byKey
		responder.ReadASN1(&hash, asn1.OCTET_STRING) && responder.Empty() && bytes.Equal(hash, key.KeyID()) &&
		body.SkipASN1(asn1.GeneralizedTime) && // producedAt
		body.SkipASN1(asn1.SEQUENCE) && // responses
		body.SkipOptionalASN1(tag1) && // responseExtensions
		body.Empty()
}

// isRequest checks each element of a CertificationRequestInfo and that it asks
// for the key itself.
func isRequest(key tbs.PublicKey, message []byte) bool {
	in := cryptobyte.String(message)
	var body, subjectKey cryptobyte.String
	var n int
	return in.ReadASN1(&body, asn1.SEQUENCE) && in.Empty() &&
		body.ReadASN1Integer(&n) && n == 0 &&
		body.SkipASN1(asn1.SEQUENCE) && // subject
		body.ReadASN1Element(&subjectKey, asn1.SEQUENCE) && bytes.Equal(subjectKey, key.SPKI()) &&
		body.SkipASN1(tag0) && // attributes
		body.Empty()
}

// isCheckpoint checks that it is four lines: an origin of pando's, a size, a root
// and a time.
func isCheckpoint(message string) bool {
	lines := strings.Split(message, "\n")
	if len(lines) != 5 || lines[4] != "" || !strings.HasPrefix(lines[0], "pando/") {
		return false
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	root, err2 := base64.StdEncoding.DecodeString(lines[2])
	_, err3 := time.Parse("time "+time.RFC3339, lines[3])
	return errors.Join(err, err2, err3) == nil && size >= 0 && len(root) == sha256.Size
}

// crlShape checks a TBSCertList as it streams by: its first elements and that it
// is as long as it says.
type crlShape struct {
	key  tbs.PublicKey
	head []byte // the first octets, at most crlHead
	size int64  // of all that was written
}

// crlHead is enough for the outer header, the version and the longest
// AlgorithmIdentifier.
const crlHead = 128

// Write counts p and keeps of it what belongs to the head. It never fails.
func (c *crlShape) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	c.head = append(c.head, p[:min(len(p), crlHead-len(c.head))]...)
	return len(p), nil
}

// check reports whether all that was written is one TBSCertList of version 2.
func (c *crlShape) check() error {
	header, length, ok := sequenceHeader(c.head)
	if !ok || int64(header)+length != c.size {
		return fmt.Errorf("what is to be signed is not a whole %s", CRL)
	}
	const version2 = "\x02\x01\x01"
	rest, ok := bytes.CutPrefix(c.head[header:], []byte(version2))
	if !ok || !bytes.HasPrefix(rest, c.key.SignatureAlgorithm().DER) {
		return fmt.Errorf("what is to be signed is not a %s of this key", CRL)
	}
	return nil
}

// sequenceHeader reads the tag and the length, in its shortest form and below
// 2^32, of a SEQUENCE of which head is the beginning.
func sequenceHeader(head []byte) (header int, length int64, ok bool) {
	if len(head) < 2 || head[0] != byte(asn1.SEQUENCE) {
		return 0, 0, false
	}
	if head[1] < 0x80 {
		return 2, int64(head[1]), true
	}
	n := int(head[1] & 0x7f)
	if n == 0 || n > 4 || len(head) < 2+n {
		return 0, 0, false
	}
	for _, b := range head[2 : 2+n] {
		length = length<<8 | int64(b)
	}
	shortest := length >= 0x80 && length>>(8*(n-1)) != 0
	return 2 + n, length, shortest
}
