package keyspace

// Dict is a hash or a set: a dense list of fields, so that a random one and the next of a
// scan cost one step, with an index beside it once it is worth its memory.
type Dict struct {
	items []Field
	index map[string]int32 // nil while there are few
	size  int64
}

// Field is a field of a hash or a member of a set.
type Field struct {
	Name  string
	Value []byte // nil in a set
}

const (
	few      = 16 // fields that are found by looking at all of them
	perField = 64
)

// Len is the number of fields.
func (d *Dict) Len() int { return len(d.items) }

// At is the field at an index; the order is that of insertion until one is removed.
func (d *Dict) At(i int) Field { return d.items[i] }

func (d *Dict) find(name []byte) int {
	if d.index != nil {
		if i, ok := d.index[string(name)]; ok {
			return int(i)
		}
		return -1
	}
	for i := range d.items {
		if d.items[i].Name == string(name) {
			return i
		}
	}
	return -1
}

// Get is a field's value, which stays the dict's, and whether it is there.
func (d *Dict) Get(name []byte) ([]byte, bool) {
	if i := d.find(name); i >= 0 {
		return d.items[i].Value, true
	}
	return nil, false
}

// Put stores copies and tells whether the field is new.
func (d *Dict) Put(name, value []byte) bool {
	if i := d.find(name); i >= 0 {
		f := &d.items[i]
		d.size += int64(len(value) - len(f.Value))
		f.Value = append(f.Value[:0:0], value...)
		return false
	}
	f := Field{Name: string(name)}
	if value != nil {
		f.Value = append([]byte{}, value...)
	}
	d.items = append(d.items, f)
	switch {
	case d.index != nil:
		d.index[f.Name] = int32(len(d.items) - 1)
	case len(d.items) > few:
		d.index = make(map[string]int32, 2*few)
		for i := range d.items {
			d.index[d.items[i].Name] = int32(i)
		}
	}
	d.size += perField + int64(len(name)+len(value))
	return true
}

// Delete removes a field and tells whether it was there.
func (d *Dict) Delete(name []byte) bool {
	i := d.find(name)
	if i < 0 {
		return false
	}
	f := d.items[i]
	last := len(d.items) - 1
	d.items[i] = d.items[last]
	d.items[last] = Field{}
	d.items = d.items[:last]
	if d.index != nil {
		delete(d.index, f.Name)
		if i < last {
			d.index[d.items[i].Name] = int32(i)
		}
	}
	if cap(d.items) > 64 && len(d.items) < cap(d.items)/4 {
		d.items = append(make([]Field, 0, cap(d.items)/2), d.items...)
	}
	d.size -= perField + int64(len(f.Name)+len(f.Value))
	return true
}

// Scan is DB.Scan for fields.
func (d *Dict) Scan(cursor uint64, count int, visit func(Field)) uint64 {
	i := uint64(len(d.items))
	if cursor != 0 {
		i = min(cursor, i)
	}
	for ; i > 0 && count > 0; count-- {
		i--
		visit(d.items[i])
	}
	return i
}

// Clone is a deep copy.
func (d *Dict) Clone() *Dict {
	c := &Dict{}
	for _, f := range d.items {
		c.Put([]byte(f.Name), f.Value)
	}
	return c
}
