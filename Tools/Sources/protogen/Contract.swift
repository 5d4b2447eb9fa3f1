import Schema

/// The part of a descriptor set that code is generated for: the files of services and of every type they
/// reach. Options, which only annotate, fall away by themselves.
struct Contract {
  let set: DescriptorSet
  /// In dependency order.
  let files: [FileDescriptor]

  /// - Parameter onlyDescribed: name of a file for whose services no code is wanted.
  init(serialized: [UInt8], onlyDescribed: String = "") throws(SchemaError) {
    set = try DescriptorSet(serialized: serialized)
    var fileOfType: [String: String] = [:]
    for file in set.files {
      for message in file.messages { fileOfType[message.fullName] = file.name }
      for enumeration in file.enums { fileOfType[enumeration.fullName] = file.name }
    }
    var kept: Set<String> = []
    var waiting = set.files.filter { !$0.services.isEmpty && $0.name != onlyDescribed }.map(\.name)
    while let name = waiting.popLast() {
      guard kept.insert(name).inserted, let file = set.files.first(where: { $0.name == name }) else {
        continue
      }
      waiting += file.referencedTypes.compactMap { fileOfType[$0] }
    }
    files = set.files.filter { kept.contains($0.name) }
    try refuseWhatIsNotSupported()
  }

  var messages: [MessageDescriptor] { files.flatMap(\.messages) }
}

extension FileDescriptor {
  /// Full names of the types its fields and rpcs name.
  fileprivate var referencedTypes: [String] {
    let ofFields = messages.flatMap(\.fields).compactMap { field -> String? in
      switch field.kind {
      case .message(let name), .enumeration(let name): name
      default: nil
      }
    }
    return ofFields + services.flatMap(\.methods).flatMap { [$0.inputType, $0.outputType] }
  }
}
