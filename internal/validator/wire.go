package validator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// caller is what pando says it is.
const caller = "pando"

// maxBody bounds what is read of any answer.
const maxBody = 64 << 10

// A question is the body of validateRequest.
type question struct {
	Request asked `json:"request"`
}

type asked struct {
	Transaction string `json:"transactionId"`
	Request     string `json:"certificateRequest"` // base64 of the DER
	Caller      string `json:"callerInfo"`
}

// An outcome is the body of successNotification and of failureNotification.
type outcome struct {
	Notification notification `json:"notification"`
}

type notification struct {
	Transaction string `json:"transactionId"`
	Request     string `json:"certificateRequest"`

	Thumbprint string `json:"certificateThumbprint,omitempty"` // SHA-1 of the certificate, in hexadecimal
	Serial     string `json:"certificateSerialNumber,omitempty"`
	Expires    string `json:"certificateExpirationDateUtc,omitempty"`
	Issuer     string `json:"issuingCertificateAuthority,omitempty"`

	Result      int64  `json:"hResult,omitempty"`
	Description string `json:"errorDescription,omitempty"`

	Caller string `json:"callerInfo"`
}

// A verdict is what the service answers to each of the three.
type verdict struct {
	Code        string `json:"code"`
	Description string `json:"errorDescription"`
}

// errAnswer is an answer that is not of the form that it must have.
var errAnswer = errors.New("the answer is not what such a service answers")

// readVerdict reads an answer; one without a code is none.
func readVerdict(from io.Reader) (*verdict, error) {
	v := new(verdict)
	if err := read(from, v); err != nil {
		return nil, err
	}
	if v.Code == "" {
		return nil, fmt.Errorf("%w: it has no code", errAnswer)
	}
	return v, nil
}

// readToken reads an access token and for how many seconds it is good (RFC 6749, 5.1).
func readToken(from io.Reader) (token string, seconds int64, err error) {
	var got struct {
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"`
	}
	if err := read(from, &got); err != nil {
		return "", 0, err
	}
	if !bearer(got.Token) {
		return "", 0, fmt.Errorf("%w: it has no access token", errAnswer)
	}
	return got.Token, got.Expires, nil
}

// bearer reports whether a text can be a bearer token (RFC 6750, 2.1, and what a header
// carries).
func bearer(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != ""
}

// serviceName is what the service is called in the list of services.
const serviceName = "ScepRequestValidationFEService"

// readServices returns the URL of the service in a list of services.
func readServices(from io.Reader) (string, error) {
	var got struct {
		Value []struct {
			Provider string `json:"providerName"`
			Service  string `json:"serviceName"`
			URI      string `json:"uri"`
		} `json:"value"`
	}
	if err := read(from, &got); err != nil {
		return "", err
	}
	for _, one := range got.Value {
		if (one.Provider == serviceName || one.Provider == "" && one.Service == serviceName) && one.URI != "" {
			return one.URI, nil
		}
	}
	return "", fmt.Errorf("%w: the list of services has no %s; the client may lack its permission", errAnswer, serviceName)
}

// read reads JSON of at most maxBody; what is not known in it is not looked at.
func read(from io.Reader, into any) error {
	body, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	switch {
	case err != nil:
		return err
	case len(body) > maxBody:
		return fmt.Errorf("%w: it has more than %d bytes", errAnswer, maxBody)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: it is no JSON of its form", errAnswer) // and may hold a token
	}
	return nil
}
