package cli

import (
	"io"
	"os"
	"time"

	"github.com/pando-pki/pando/client"
)

// An upload is the rows of a batch on their way, which shows how far they are.
type upload struct {
	rows     io.Reader
	progress *progress
	size     int64 // in bytes; 0 is unknown
	sent     int64
	began    time.Time
}

// newUpload returns the rows with progress shown for each part that is read. It
// can seek where the rows can, so that they can be sent again.
func newUpload(rows io.Reader, p *progress) io.Reader {
	u := &upload{rows: rows, progress: p, began: time.Now()}
	f, ok := rows.(*os.File)
	if !ok {
		u.show()
		return u
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		u.size = info.Size()
	}
	u.show()
	return &uploadAgain{u, f}
}

// Read reads a part.
func (u *upload) Read(b []byte) (int, error) {
	n, err := u.rows.Read(b)
	u.sent += int64(n)
	u.show()
	return n, err
}

func (u *upload) show() {
	s := step{stage: client.Uploading, done: u.sent, total: u.size, unit: "byte"}
	if passed := time.Since(u.began); passed > time.Second {
		s.rate = float64(u.sent) / passed.Seconds()
	}
	u.progress.show(s)
}

// An uploadAgain is an upload of a file.
type uploadAgain struct {
	*upload
	file io.Seeker
}

// Seek goes to where the file is to be sent from.
func (u *uploadAgain) Seek(offset int64, whence int) (int64, error) {
	at, err := u.file.Seek(offset, whence)
	if err == nil {
		u.sent, u.began = at, time.Now()
	}
	return at, err
}
