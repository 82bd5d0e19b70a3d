package server

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// TestArchivePlace: the default is a directory beside the database, another is taken
// from the data directory, and what names none or two is refused.
func TestArchivePlace(t *testing.T) {
	data := t.TempDir()
	bucket := &Bucket{Endpoint: "https://s3.example.com", Bucket: "archives", Credentials: "env"}
	for _, c := range []struct {
		place Place
		want  string
	}{
		{DefaultConfig().Retention.Archive, filepath.Join(data, "archive")},
		{Place{Directory: "elsewhere"}, filepath.Join(data, "elsewhere")},
		{Place{Directory: "/mnt/archives"}, "/mnt/archives"},
		{Place{Bucket: bucket}, "https://s3.example.com/archives"},
	} {
		cfg := Config{Data: data, Retention: Retention{Archive: c.place}}
		if err := cfg.checkArchive(); err != nil {
			t.Fatal(err)
		}
		place, err := cfg.Archives()
		if err != nil || fmt.Sprint(place) != c.want {
			t.Errorf("%+v: %v, %v", c.place, place, err)
		}
	}
	for _, place := range []Place{{}, {Directory: "a", Bucket: bucket}, {Bucket: &Bucket{Endpoint: "s3", Bucket: "archives", Credentials: "env"}}} {
		if err := (Config{Data: data, Retention: Retention{Archive: place}}).checkArchive(); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%+v: %v", place, err)
		}
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) > 0 {
		t.Errorf("something was made: %v, %v", entries, err)
	}
}
