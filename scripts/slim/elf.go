package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// program is a statically linked little-endian ELF file of the Go linker.
type program struct {
	file   []byte
	elf    *elf.File
	table  *table
	module []byte // runtime.firstmoduledata
	word   int
}

// Words of runtime.moduledata.
const (
	modulePclntab   = 0  // pcHeader
	moduleParts     = 1  // funcnametab, cutab, filetab, pctab, pclntable, ftab: slices
	moduleFind      = 19 // findfunctab
	moduleText      = 22 // text
	moduleGofunc    = 40 // gofunc
	moduleEnd       = 41 // epclntab
	moduleTypelinks = 45 // typelinks, itablinks: slices
)

// release is the Go whose layout, and readers of it, are known here.
const release = "go1.26"

// tail are the sections that follow the table of functions in its segment.
var tail = []string{".typelink", ".itablink"}

func open(file []byte) (*program, error) {
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if info, err := buildinfo.Read(bytes.NewReader(file)); err != nil || info.GoVersion != release && !strings.HasPrefix(info.GoVersion, release+".") {
		return nil, fmt.Errorf("not a program of %s: %w", release, errLayout)
	}
	if f.ByteOrder != order || f.Type != elf.ET_EXEC {
		return nil, errors.New("not a static little-endian program")
	}
	p := &program{file: file, elf: f, word: 4}
	if f.Class == elf.ELFCLASS64 {
		p.word = 8
	}
	for _, name := range append([]string{".text", ".gopclntab", ".go.module"}, tail...) {
		if f.Section(name) == nil {
			return nil, fmt.Errorf("no section %s: %w", name, errLayout)
		}
	}
	s := f.Section(".gopclntab")
	p.module = p.section(".go.module")
	if len(p.module) < (moduleTypelinks+6)*p.word {
		return nil, errLayout
	}
	if p.table, err = parse(p.section(".gopclntab"), int(p.get(moduleGofunc)-s.Addr), int(p.get(moduleFind)-s.Addr)); err != nil {
		return nil, err
	}
	links, itabs := f.Section(".typelink"), f.Section(".itablink")
	known := map[int]uint64{
		modulePclntab: s.Addr, moduleEnd: s.Addr + s.Size, moduleText: f.Section(".text").Addr,
		moduleParts + 15: s.Addr + uint64(p.table.start), moduleParts + 16: uint64(p.table.funcs) + 1,
		moduleTypelinks: links.Addr, moduleTypelinks + 1: links.Size / 4, moduleTypelinks + 3: itabs.Addr, moduleTypelinks + 4: itabs.Size / uint64(p.word),
	}
	for i := range 5 {
		known[moduleParts+3*i] = s.Addr + word(p.table.head[8+(3+i)*p.word:], p.word)
	}
	for i, want := range known {
		if got := p.get(i); got != want {
			return nil, fmt.Errorf("word %d of the module's data is %#x, not %#x: %w", i, got, want, errLayout)
		}
	}
	return p, nil
}

// section is a part of the file.
func (p *program) section(name string) []byte {
	s := p.elf.Section(name)
	return p.file[s.Offset : s.Offset+s.FileSize]
}

// get and set access a word of the module's data.
func (p *program) get(i int) uint64 { return word(p.module[i*p.word:], p.word) }

func (p *program) set(i int, v uint64) { putWord(p.module[i*p.word:], p.word, v) }

func word(b []byte, size int) uint64 {
	if size == 4 {
		return uint64(order.Uint32(b))
	}
	return order.Uint64(b)
}

func putWord(b []byte, size int, v uint64) {
	if size == 4 {
		order.PutUint32(b, uint32(v))
	} else {
		order.PutUint64(b, v)
	}
}

// slim returns the program without what only a stack trace reads.
func (p *program) slim() ([]byte, error) {
	s, err := p.table.slim()
	if err != nil {
		return nil, err
	}
	whole, at := s.bytes()
	base := p.elf.Section(".gopclntab").Addr
	for i, size := range [5]int{len(s.names), len(s.units) / 4, len(s.files), len(s.tables), len(s.records)} {
		p.slice(moduleParts+3*i, base+uint64(at[i]), uint64(size))
	}
	p.set(moduleParts+15, base+uint64(at[4])) // ftab: as many as before
	p.set(moduleGofunc, base+uint64(at[5]))
	p.set(moduleFind, base+uint64(at[6]))
	p.set(moduleEnd, base+uint64(len(whole)))
	size := uint64(len(whole))
	moved := map[string]uint64{".gopclntab": base}
	for i, name := range tail {
		for len(whole)%p.word != 0 {
			whole = append(whole, 0)
		}
		moved[name] = base + uint64(len(whole))
		p.set(moduleTypelinks+3*i, moved[name])
		whole = append(whole, p.section(name)...)
	}
	first, end := p.elf.Section(".gopclntab"), p.elf.Section(tail[len(tail)-1])
	for _, s := range p.elf.Sections { // without an address, on MIPS, where there was room
		if s.Flags&elf.SHF_ALLOC == 0 && s.Type != elf.SHT_NULL && s.Offset >= first.Offset && s.Offset < end.Offset+end.FileSize {
			moved[s.Name] = base + uint64(len(whole))
			whole = append(whole, p.section(s.Name)...)
		}
	}
	if base+uint64(len(whole)) > end.Addr+end.Size {
		return nil, errors.New("it would become larger")
	}
	out, err := p.replace(whole, moved, size)
	if err != nil {
		return nil, err
	}
	return out, p.verify(out)
}

// verify reads what was written as a program: its table says the same, and all
// else is as it was, at the same address.
func (p *program) verify(out []byte) error {
	q, err := open(out)
	if err != nil {
		return fmt.Errorf("what was written: %w", err)
	}
	if err := p.table.same(q.table); err != nil {
		return err
	}
	if len(q.elf.Sections) != len(p.elf.Sections) || q.elf.Entry != p.elf.Entry {
		return errors.New("what was written has other sections")
	}
	for i, s := range p.elf.Sections {
		r := q.elf.Sections[i]
		if s.Name == ".gopclntab" || s.Type == elf.SHT_NULL {
			continue
		}
		var same bool
		if s.Type == elf.SHT_NOBITS {
			same = s.Size == r.Size
		} else {
			same = bytes.Equal(p.file[s.Offset:s.Offset+s.FileSize], out[r.Offset:r.Offset+r.FileSize])
		}
		loaded := s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS || slices.ContainsFunc(q.elf.Progs, func(l *elf.Prog) bool {
			return l.Type == elf.PT_LOAD && r.Offset-l.Off == r.Addr-l.Vaddr && r.Offset >= l.Off && r.Offset+r.FileSize <= l.Off+l.Filesz
		})
		if !same || !loaded || s.Name != r.Name || s.Addr != r.Addr && !slices.Contains(tail, s.Name) {
			return fmt.Errorf("section %s is not the same", s.Name)
		}
	}
	return nil
}

// slice sets a slice without room to grow.
func (p *program) slice(i int, at, size uint64) {
	p.set(i, at)
	p.set(i+1, size)
	p.set(i+2, size)
}

// replace puts whole in the place of the table and the tail, and what follows
// them in the file right behind, at the addresses that it had.
func (p *program) replace(whole []byte, moved map[string]uint64, table uint64) ([]byte, error) {
	first, last := p.elf.Section(".gopclntab"), p.elf.Section(tail[len(tail)-1])
	from, to := first.Offset, last.Offset+last.FileSize
	cut := to - (from + uint64(len(whole)))
	var next uint64 // where the next segment begins
	for _, s := range p.elf.Progs {
		if s.Type != elf.PT_LOAD || s.Off < to {
			continue
		}
		if next != 0 {
			return nil, errLayout
		}
		next = s.Off
		cut -= cut % s.Align // offset and address agree below the alignment
		cut += (s.Off - to) / s.Align * s.Align
	}
	if next == 0 || from+uint64(len(whole)) > next-cut {
		return nil, errLayout
	}
	out := append(bytes.Clone(p.file[:from]), whole...)
	out = append(out, make([]byte, next-cut-uint64(len(out)))...)
	out = append(out, p.file[next:]...)
	h := header{b: out, word: p.word}
	for i, s := range p.elf.Progs {
		switch {
		case s.Off >= next:
			h.segment(i, s.Off-cut, s.Filesz, s.Memsz)
		case s.Type == elf.PT_LOAD && s.Off <= from && s.Off+s.Filesz >= to:
			h.segment(i, s.Off, from+uint64(len(whole))-s.Off, from+uint64(len(whole))-s.Off)
		}
	}
	if at := h.sectionsAt(); at >= next { // the linker puts it first
		h.sections(at - cut)
	}
	for i, s := range p.elf.Sections {
		at, size := s.Offset, s.Size
		if at >= next {
			at -= cut
		}
		addr, ok := moved[s.Name]
		if ok {
			at = from + addr - first.Addr
		}
		if s.Name == ".gopclntab" {
			size = table
		}
		if !ok || s.Flags&elf.SHF_ALLOC == 0 {
			addr = s.Addr
		}
		h.section(i, addr, at, size)
	}
	return out, nil
}
