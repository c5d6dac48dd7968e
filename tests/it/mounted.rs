//! A directory of files that are replaced all at once, as Kubernetes does with a
//! mounted ConfigMap or Secret: by renaming a link beside them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Mounted {
    folder: TempDir,
    version: usize,
}

impl Mounted {
    /// With files of these names and texts.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let mut mounted = Self { folder: TempDir::new().unwrap(), version: 0 };
        mounted.set(files);
        for (name, _) in files {
            symlink(Path::new("..data").join(name), mounted.path().join(name)).unwrap();
        }
        mounted
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    /// Replaces all files.
    pub(crate) fn set(&mut self, files: &[(&str, &str)]) {
        let (old, link) = (self.data(), self.path().join("..data_tmp"));
        self.version += 1;
        fs::create_dir(self.data()).unwrap();
        for (name, text) in files {
            fs::write(self.data().join(name), text).unwrap();
        }
        symlink(self.data().file_name().unwrap(), &link).unwrap();
        fs::rename(link, self.path().join("..data")).unwrap();
        if old.exists() {
            fs::remove_dir_all(old).unwrap();
        }
    }

    fn data(&self) -> PathBuf {
        self.path().join(format!("..v{}", self.version))
    }
}
