package scep

import (
	"strconv"

	"github.com/pando-pki/pando/internal/pki"
)

// A messageType says what a message is for (RFC 8894, 3.2.1.2).
type messageType uint8

// The message types that are assigned; all others are refused.
const (
	certRep    messageType = 3
	renewalReq messageType = 17
	pkcsReq    messageType = 19
	certPoll   messageType = 20
	getCert    messageType = 21
	getCRL     messageType = 22
)

var messageTypeNames = map[messageType]string{
	certRep: "CertRep", renewalReq: "RenewalReq", pkcsReq: "PKCSReq", certPoll: "CertPoll", getCert: "GetCert", getCRL: "GetCRL",
}

// String returns the type's name in RFC 8894, or its number.
func (t messageType) String() string {
	if name, ok := messageTypeNames[t]; ok {
		return name
	}
	return strconv.Itoa(int(t))
}

// parseMessageType reads a type as it stands in messages: a number in decimal, without
// sign, space or leading zeros.
func parseMessageType(text string) (messageType, bool) {
	n, err := strconv.ParseUint(text, 10, 8)
	return messageType(n), err == nil && strconv.FormatUint(n, 10) == text
}

// check refuses what no client asks for: RFC 8894, 3.2.1.2, has undefined types treated
// as errors.
func (t messageType) check() error {
	switch t {
	case pkcsReq, renewalReq, certPoll, getCert, getCRL:
		return nil
	case certRep:
		return pki.Errorf(pki.Malformed, "a CertRep is what the server answers, and not what it is asked")
	case 18: // drafts before 2015 had it
		return pki.Errorf(pki.Malformed, "the message type 18, UpdateReq of old drafts, is not one of RFC 8894: renew with RenewalReq (17)")
	}
	return pki.Errorf(pki.Malformed, "the message type %d is not one that RFC 8894 defines; it is one of 17, 19, 20, 21 and 22", uint8(t))
}
