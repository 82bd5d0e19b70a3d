package validator

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzRead: whatever services answer is read within bounds, and yields nothing but what has
// its form.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		`{"code":"Success","errorDescription":""}`, `{"code":"ChallengeExpired"}`, `{"access_token":"abc","expires_in":3599}`, `{"expires_in":-1}`,
		`{"value":[{"providerName":"ScepRequestValidationFEService","uri":"https://fef.example/x"}]}`, `null`, `[`, "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if v, err := readVerdict(bytes.NewReader(body)); err == nil {
			if v.Code == "" || (v.judge("x") == nil) != (v.Code == success) {
				t.Errorf("%+v", v)
			}
			if err := v.judge("x"); err != nil && strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Errorf("%q", err)
			}
		}
		if token, _, err := readToken(bytes.NewReader(body)); err == nil && !bearer(token) {
			t.Errorf("%q", token)
		}
		if uri, err := readServices(bytes.NewReader(body)); err == nil && uri == "" {
			t.Error("no URL")
		}
	})
}
