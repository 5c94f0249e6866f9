package main

// header writes the headers of an ELF file.
type header struct {
	b    []byte
	word int
}

// Offsets in the file's header, of 32 and of 64 bit.
func (h header) at(narrow, wide int) int {
	if h.word == 4 {
		return narrow
	}
	return wide
}

func (h header) put(at int, v uint64) { putWord(h.b[at:], h.word, v) }

func (h header) sectionsAt() uint64 { return word(h.b[h.at(32, 40):], h.word) }

func (h header) sections(at uint64) { h.put(h.at(32, 40), at) }

// segment sets where the i-th segment lies in the file, and its sizes.
func (h header) segment(i int, offset, inFile, inMemory uint64) {
	at := int(word(h.b[h.at(28, 32):], h.word)) + i*h.at(32, 56)
	h.put(at+h.at(4, 8), offset)
	h.put(at+h.at(16, 32), inFile)
	h.put(at+h.at(20, 40), inMemory)
}

// section sets the address, place in the file and size of the i-th section.
func (h header) section(i int, addr, offset, size uint64) {
	at := int(h.sectionsAt()) + i*h.at(40, 64)
	h.put(at+h.at(12, 16), addr)
	h.put(at+h.at(16, 24), offset)
	h.put(at+h.at(20, 32), size)
}
