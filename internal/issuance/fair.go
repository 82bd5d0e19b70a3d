package issuance

import "github.com/pando-pki/pando/internal/pki"

// A fairQueue hands out its elements family by family in turn, those of one family
// tenant by tenant in turn, and those of one tenant in the order they came: a tenant
// with a long queue delays itself, and one with many children its family. Its zero
// value is empty. It is not safe for concurrent use.
type fairQueue[T any] struct {
	turn  []pki.TenantID // families with elements, the next to be served first
	queue map[pki.TenantID]*tenantQueue[T]
	size  int
}

func (q *fairQueue[T]) push(family, tenant pki.TenantID, v T) {
	if q.queue == nil {
		q.queue = make(map[pki.TenantID]*tenantQueue[T])
	}
	of := q.queue[family]
	if of == nil {
		of = &tenantQueue[T]{queue: make(map[pki.TenantID][]T)}
		q.queue[family] = of
		q.turn = append(q.turn, family)
	}
	of.push(tenant, v)
	q.size++
}

// pop returns the next element; the queue must not be empty.
func (q *fairQueue[T]) pop() T {
	family := q.turn[0]
	q.turn = q.turn[1:]
	of := q.queue[family]
	v := of.pop()
	if len(of.turn) > 0 {
		q.turn = append(q.turn, family)
	} else {
		delete(q.queue, family)
	}
	q.size--
	return v
}

func (q *fairQueue[T]) len() int { return q.size }

// A tenantQueue has the elements of one family.
type tenantQueue[T any] struct {
	turn  []pki.TenantID // tenants with elements, the next to be served first
	queue map[pki.TenantID][]T
}

func (q *tenantQueue[T]) push(tenant pki.TenantID, v T) {
	if len(q.queue[tenant]) == 0 {
		q.turn = append(q.turn, tenant)
	}
	q.queue[tenant] = append(q.queue[tenant], v)
}

func (q *tenantQueue[T]) pop() T {
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
	return v
}
