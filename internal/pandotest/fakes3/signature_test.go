package fakes3

import (
	"net/http"
	"testing"
	"time"
)

// TestSignature holds the verification to the example "GET Object" that AWS
// publishes with Signature Version 4.
func TestSignature(t *testing.T) {
	const id, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	request := func() *http.Request {
		r, err := http.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com/test.txt", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Range", "bytes=0-9")
		r.Header.Set("X-Amz-Date", "20130524T000000Z")
		r.Header.Set("X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+id+"/20130524/us-east-1/s3/aws4_request, "+
			"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
		return r
	}
	if refused := verify(request(), id, secret, "us-east-1", now); refused != "" {
		t.Errorf("the published example: %s", refused)
	}
	for what, change := range map[string]func(*http.Request){
		"another path":   func(r *http.Request) { r.URL.Path = "/other.txt" },
		"another method": func(r *http.Request) { r.Method = http.MethodDelete },
		"another body":   func(r *http.Request) { r.Header.Set(payloadHash, hashOf([]byte("x"))) },
		"another header": func(r *http.Request) { r.Header.Set("Range", "bytes=0-8") },
		"no signature":   func(r *http.Request) { r.Header.Del("Authorization") },
	} {
		r := request()
		change(r)
		if verify(r, id, secret, "us-east-1", now) == "" {
			t.Errorf("%s is taken", what)
		}
	}
	for want, got := range map[string]string{
		"AuthorizationHeaderMalformed": verify(request(), id, secret, "eu-west-1", now),
		"InvalidAccessKeyId":           verify(request(), "another", secret, "us-east-1", now),
		"RequestTimeTooSkewed":         verify(request(), id, secret, "us-east-1", now.Add(time.Hour)),
		"SignatureDoesNotMatch":        verify(request(), id, "another", "us-east-1", now),
	} {
		if got != want {
			t.Errorf("refused with %q, want %s", got, want)
		}
	}
}
