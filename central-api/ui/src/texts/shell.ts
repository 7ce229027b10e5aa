// Words of the frame around every page.
import type { Text } from "../app/language.svelte";

export const shell = {
  skip: { uk: "До вмісту", en: "Skip to content" },
  dispatcher: { uk: "Диспетчер", en: "Dispatcher" },
  account: { uk: "Мій акаунт", en: "My account" },
  navigation: { uk: "Сторінки", en: "Pages" },
  menu: { uk: "Меню", en: "Menu" },
  site: { uk: "Сайт", en: "Site" },
  language: { uk: "Мова", en: "Language" },
  theme: { uk: "Оформлення", en: "Theme" },
  system: { uk: "Як у системі", en: "As the system" },
  light: { uk: "Світле", en: "Light" },
  dark: { uk: "Темне", en: "Dark" },
  logOut: { uk: "Вийти", en: "Log out" },
  reference: { uk: "Довідник API", en: "API reference" },
  close: { uk: "Закрити", en: "Close" },
  cancel: { uk: "Скасувати", en: "Cancel" },
  save: { uk: "Зберегти", en: "Save" },
  loading: { uk: "Завантаження…", en: "Loading…" },
  retry: { uk: "Спробувати ще", en: "Try again" },
  failed: { uk: "Не вдалося завантажити.", en: "This could not be loaded." },
  unreachable: { uk: "Сервер не відповідає. Перевірте з'єднання.", en: "The server does not answer. Check the connection." },
  nothing: { uk: "Тут поки нічого немає.", en: "There is nothing here yet." },
  whatIs: { uk: "Що це: {what}", en: "What is this: {what}" },
  notFound: { uk: "Такої сторінки немає", en: "There is no such page" },
  toStart: { uk: "До диспетчера", en: "To the dispatcher" },
  noSite: { uk: "Сайту ще немає", en: "There is no site yet" },
  makeSite: {
    uk: "Створіть його на сервері командою: central-api create-site shop --name \"Мій магазин\" --domain shop.example",
    en: "Make one on the server: central-api create-site shop --name \"My shop\" --domain shop.example",
  },
} as const satisfies Record<string, Text>;
