package anchor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// Objects is what a bucket anchor needs of a bucket; blob.Bucket has it.
type Objects interface {
	Create(ctx context.Context, name string, content []byte, contentType string) error
	Read(ctx context.Context, name string, limit int64) (content []byte, version string, err error)
	Replace(ctx context.Context, name, version string, content []byte, contentType string) (string, error)
	String() string
}

// A Bucket keeps each checkpoint as an object of its own that never changes, and
// the newest of each log under a fixed name. With object lock on the bucket not
// even its owner can take one back.
type Bucket struct {
	objects Objects
	mu      sync.Mutex
	has     map[string]bool // guarded by mu: origins of the logs of which it was seen to have a checkpoint
	lost    bool            // guarded by mu
}

// NewBucket returns the anchor in a bucket.
func NewBucket(objects Objects) *Bucket { return &Bucket{objects: objects, has: make(map[string]bool)} }

// Name implements auditlog.Anchor.
func (b *Bucket) Name() string { return "bucket " + b.objects.String() }

const (
	newestName = "newest"     // after the log's origin
	firstName  = "first"      // the first checkpoint that the bucket took of any log
	mediaType  = "text/plain" // of every object
	maxObject  = 16 << 10
)

// Lost implements auditlog.Keeper: it was seen when a checkpoint was put.
func (b *Bucket) Lost() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}

// saw notes whether the bucket has a checkpoint of a log.
func (b *Bucket) saw(origin string, there bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = b.lost || b.has[origin] && !there
	b.has[origin] = b.has[origin] || there
}

// Put implements auditlog.Anchor.
func (b *Bucket) Put(ctx context.Context, note string) error {
	origin, size, err := head(note)
	if err != nil {
		return err
	}
	first, _, err := b.objects.Read(ctx, firstName, maxObject)
	switch {
	case pki.KindOf(err) == pki.NotFound && err != nil:
		err = b.objects.Create(ctx, firstName, []byte(note), mediaType)
	case err == nil && deploymentOf(string(first)) != deploymentOf(note):
		err = pki.Errorf(pki.Conflict, "it has the checkpoints of another deployment")
	}
	if err != nil {
		return err
	}
	if err := b.objects.Create(ctx, origin+"/"+fmt.Sprintf("%020s", size), []byte(note), mediaType); err != nil {
		return err
	}
	name := origin + "/" + newestName
	_, version, err := b.objects.Read(ctx, name, maxObject)
	if err != nil && pki.KindOf(err) != pki.NotFound {
		return err
	}
	b.saw(origin, err == nil)
	if _, err = b.objects.Replace(ctx, name, version, []byte(note), mediaType); err == nil {
		b.saw(origin, true)
	}
	return err
}

// head returns a checkpoint's origin and size.
func head(note string) (origin, size string, err error) {
	lines := strings.SplitN(note, "\n", 3)
	if len(lines) != 3 {
		return "", "", pki.Errorf(pki.Malformed, "it is not a checkpoint")
	}
	return lines[0], lines[1], nil
}

// deploymentOf returns the deployment that a checkpoint's origin names.
func deploymentOf(note string) string {
	parts := strings.SplitN(note, "/", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

// Newest implements auditlog.Reader. A log that is not known is not found: of one
// whose tenant the store does not know any more, the platform's log tells, in which
// the tenant's creation stands.
func (b *Bucket) Newest(ctx context.Context, deployment string, origins []string) ([]string, error) {
	first, _, err := b.objects.Read(ctx, firstName, maxObject)
	switch {
	case err == nil && deploymentOf(string(first)) != deployment:
		return []string{string(first)}, nil
	case err != nil && pki.KindOf(err) != pki.NotFound:
		return nil, err
	}
	var notes []string
	if platform := audit.Origin(deployment, pki.Platform); !slices.Contains(origins, platform) {
		origins = append(origins, platform)
	}
	for _, origin := range origins {
		note, _, err := b.objects.Read(ctx, origin+"/"+newestName, maxObject)
		if err != nil && pki.KindOf(err) == pki.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		b.saw(origin, true)
		notes = append(notes, string(note))
	}
	return notes, nil
}
