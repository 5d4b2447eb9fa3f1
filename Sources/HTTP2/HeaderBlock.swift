internal import CNghttp2

/// A header list to be sent, pseudo headers first.
///
/// Fields that never change are `StaticString`s: they are neither copied here nor by nghttp2, which keeps the
/// pointers until the frame is sent; static memory outlives every session. Other fields are gathered in one array
/// of text, which nghttp2 copies when the block is submitted.
package struct HeaderBlock: @unchecked Sendable {
  /// A field whose name or value is `nil` has it in `text`, in order of appearance.
  private var fields: [nghttp2_nv] = []
  private var text: [UInt8] = []

  package init() {}

  package mutating func add(_ name: StaticString, _ value: StaticString) {
    fields.append(
      nghttp2_nv(
        name: UnsafeMutablePointer(mutating: name.utf8Start),
        value: UnsafeMutablePointer(mutating: value.utf8Start),
        namelen: name.utf8CodeUnitCount, valuelen: value.utf8CodeUnitCount,
        flags: UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)))
  }

  package mutating func add(_ name: StaticString, _ value: some Sequence<UInt8>) {
    fields.append(
      nghttp2_nv(
        name: UnsafeMutablePointer(mutating: name.utf8Start), value: nil,
        namelen: name.utf8CodeUnitCount, valuelen: append(value),
        flags: UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue)))
  }

  package mutating func add(_ name: some Sequence<UInt8>, _ value: some Sequence<UInt8>) {
    fields.append(
      nghttp2_nv(name: nil, value: nil, namelen: append(name), valuelen: append(value), flags: 0))
  }

  /// Appends `bytes` to the text and returns how many there were.
  private mutating func append(_ bytes: some Sequence<UInt8>) -> Int {
    let before = text.count
    // Callers are in other modules, where this is not specialised: a copy of memory instead of a byte at a time
    // through witness tables was a sixth of the Edge's time for a call.
    let isCopied: Void? = bytes.withContiguousStorageIfAvailable { text.append(contentsOf: $0) }
    if isCopied == nil { text.append(contentsOf: bytes) }
    return text.count - before
  }

  /// Gives `body` the fields as nghttp2 wants them. The pointers are good for the call only, except those to
  /// static memory.
  func withFields<Result>(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result) -> Result {
    if text.isEmpty {
      return fields.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
    }
    return text.withUnsafeBufferPointer { text in
      withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: fields.count) { resolved in
        var next = UnsafeMutablePointer(mutating: text.baseAddress)
        for (index, field) in fields.enumerated() {
          var field = field
          if field.name == nil {
            field.name = next
            next = next?.advanced(by: field.namelen)
          }
          if field.value == nil {
            field.value = next
            next = next?.advanced(by: field.valuelen)
          }
          resolved.initializeElement(at: index, to: field)
        }
        return body(resolved.baseAddress, fields.count)
      }
    }
  }
}

extension HeaderBlock: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (StaticString, StaticString)...) {
    for (name, value) in elements { add(name, value) }
  }
}
