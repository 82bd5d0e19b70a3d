package issuance

import "github.com/pando-pki/pando/internal/pki"

// fairQueue hands out its elements tenant by tenant in turn, and those of one
// tenant in the order they came: a tenant with a long queue delays itself. Its
// zero value is empty. It is not safe for concurrent use.
type fairQueue[T any] struct {
	turn  []pki.TenantID // tenants with elements, the next to be served first
	queue map[pki.TenantID][]T
	size  int
}

func (q *fairQueue[T]) push(tenant pki.TenantID, v T) {
	if q.queue == nil {
		q.queue = make(map[pki.TenantID][]T)
	}
	if len(q.queue[tenant]) == 0 {
		q.turn = append(q.turn, tenant)
	}
	q.queue[tenant] = append(q.queue[tenant], v)
	q.size++
}

// pop returns the next element; the queue must not be empty.
func (q *fairQueue[T]) pop() T {
	tenant := q.turn[0]
	q.turn = q.turn[1:]
	waiting := q.queue[tenant]
	v := waiting[0]
	if len(waiting) > 1 {
		q.queue[tenant] = waiting[1:]
		q.turn = append(q.turn, tenant)
	} else {
		delete(q.queue, tenant)
	}
	q.size--
	return v
}

func (q *fairQueue[T]) len() int { return q.size }
