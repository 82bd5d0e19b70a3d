package restapi

import (
	"fmt"
	"net/http"
	"time"
)

// vouchFor is how long a stream goes on after its caller was last found to be
// allowed what it is: a token that is revoked or expires meanwhile ends the
// stream.
const vouchFor = 2 * time.Second

// A voucher says whether a caller may go on. It is used by one goroutine at a
// time.
type voucher struct {
	at    time.Time    // when the caller was last found to be allowed
	again func() error // looks again
}

// check is an error where the caller may not go on.
func (v *voucher) check() error {
	if time.Since(v.at) <= vouchFor {
		return nil
	}
	if err := v.again(); err != nil {
		return fmt.Errorf("looking again who asks: %w", err)
	}
	v.at = time.Now()
	return nil
}

// A vouchedBody is a request's body that its sender may go on sending.
type vouchedBody struct {
	sentBody
	voucher
}

// Read reads a part.
func (b *vouchedBody) Read(p []byte) (int, error) {
	n, err := b.sentBody.Read(p) // it may wait for long: who asks is looked at after it
	if refused := b.check(); refused != nil {
		return 0, refused
	}
	return n, err
}

// A vouchedWriter is an answer that its reader may go on reading. One that they
// may not is cut, so that it does not look complete.
type vouchedWriter struct {
	http.ResponseWriter
	voucher
	cut func(error)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *vouchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write sends a part.
func (w *vouchedWriter) Write(b []byte) (int, error) {
	if err := w.check(); err != nil {
		w.cut(err)
	}
	return w.ResponseWriter.Write(b)
}
