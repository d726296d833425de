package wasm

import (
	"context"
	"encoding/binary"
	"sync"

	gcnode "github.com/gcnode/gcnode/core"
)

// GetItems asks the module for the values of several keys, in one call if it
// exports gcnode_get_many, and otherwise key by key, as many at the same time
// as its instances have room for. Answers and errors are those of
// [Plugin.GetItem]; yield is called with each as soon as it is there, from the
// goroutine of the caller. The result is nil.
func (p *Plugin) GetItems(ctx context.Context, keys []string, yield func(i int, it gcnode.Item[gcnode.Value], err error)) error {
	if !p.batches {
		p.getEach(ctx, keys, yield)
		return nil
	}
	counted := func(i int, it gcnode.Item[gcnode.Value], err error) {
		p.stats.calls[outcomeOf(err)].Add(1)
		yield(i, it, err)
	}
	var fitting []string
	var places []int // of the fitting keys
	for i, key := range keys {
		if err := checkKey(key); err != nil {
			counted(i, gcnode.Item[gcnode.Value]{}, err)
			continue
		}
		fitting, places = append(fitting, key), append(places, i)
	}
	if len(fitting) > 0 {
		p.getMany(ctx, fitting, func(i int, it gcnode.Item[gcnode.Value], err error) { counted(places[i], it, err) })
	}
	return nil
}

// getEach asks for the keys one by one.
func (p *Plugin) getEach(ctx context.Context, keys []string, yield func(int, gcnode.Item[gcnode.Value], error)) {
	type answer struct {
		i    int
		item gcnode.Item[gcnode.Value]
		err  error
	}
	next, answers := make(chan int), make(chan answer)
	var workers sync.WaitGroup
	for range min(len(keys), p.opts.Instances*p.pool.share) {
		workers.Go(func() {
			for i := range next {
				item, err := p.GetItem(ctx, keys[i])
				answers <- answer{i, item, err}
			}
		})
	}
	go func() {
		for i := range keys {
			next <- i
		}
		close(next)
		workers.Wait()
		close(answers)
	}()
	for a := range answers {
		yield(a.i, a.item, a.err)
	}
}

// getMany asks for the keys in one call.
func (p *Plugin) getMany(ctx context.Context, keys []string, yield func(int, gcnode.Item[gcnode.Value], error)) {
	d := p.newDeadline(ctx)
	s, err := p.checkOut(&d)
	if err != nil {
		stopped := startFailed(err)
		for i, key := range keys {
			yield(i, gcnode.Item[gcnode.Value]{}, p.failed(key, stopped))
		}
		return
	}
	v := newVisit(&d, len(keys))
	defer v.cancel()
	first, stopped := p.beginMany(s, v, d, keys)
	over := func(r *request, err error) { yield(int(r.id-first), r.item, err) }
	if stopped == nil {
		p.await(s, v, d, over)
		return
	}
	v.drain(func(r *request, err error) {
		delete(v.open, r.id)
		over(r, err)
	})
	for _, r := range v.open {
		over(r, p.failed(r.key, stopped))
	}
}

// beginMany lets the guest begin to answer the keys, and gives the instance
// back. first is the number of the first request.
func (p *Plugin) beginMany(s *slot[*instance], v *visit, d deadline, keys []string) (first int32, stopped *stop) {
	verdict := discardTrap // if the guest does not return
	over := 0              // 1 if the visit is
	defer func() { p.checkIn(s, verdict, over) }()
	batch := s.item.openMany(keys, v)
	message := encodeBatch(keys)
	d.look()
	if err := d.checkAt(d.seen); err != nil {
		verdict, over = keep, 1
		return batch[0].id, stopFor(err)
	}
	verdict, stopped = s.item.answerMany(batch, message, d)
	return batch[0].id, stopped
}

// encodeBatch is a batch in the form of the guest ABI.
func encodeBatch(keys []string) []byte {
	size := 0
	for _, key := range keys {
		size += 4 + len(key)
	}
	b := make([]byte, 0, size)
	for _, key := range keys {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(key)))
		b = append(b, key...)
	}
	return b
}
